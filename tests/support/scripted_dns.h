// A name server that answers as a test says, over UDP and TCP, on a thread of its own.
//
// Threads  asked: any. The script runs on the server's thread
// Owns     its sockets and its thread
// Ends     the destructor joins
#ifndef WEFT_TESTS_SUPPORT_SCRIPTED_DNS_H_
#define WEFT_TESTS_SUPPORT_SCRIPTED_DNS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/watched.h"
#include "weft/core/socket.h"

namespace weft {

class ScriptedDns {
 public:
  static constexpr int kNoSuchName = 3, kServerFailed = 2, kRefused = 5;
  struct Question {
    std::string name;
    bool ipv6 = false;
    bool tcp = false;
  };
  struct Reply {
    bool silent = false;
    bool truncated = false;  // over UDP, with as many addresses as are given
    int code = 0;
    std::string alias = {};  // a CNAME on the way; a single label
    std::vector<std::string> addresses = {};
  };
  using Script = std::function<Reply(const Question&)>;

  // Port 0: any that is free for UDP and TCP.
  explicit ScriptedDns(Script script, const std::string& ip = "127.0.0.1", uint16_t port = 0);
  ~ScriptedDns();
  ScriptedDns(const ScriptedDns&) = delete;
  ScriptedDns& operator=(const ScriptedDns&) = delete;

  uint16_t port() const { return port_; }
  // "name A", "name AAAA", "name A tcp", in their order.
  std::vector<std::string> asked() const { return asked_.Get(); }
  [[nodiscard]] bool WaitUntilAsked(const std::string& question) const;
  // The answer has been sent.
  [[nodiscard]] bool WaitUntilAnswered(const std::string& question) const;

 private:
  void Run();
  std::string Answer(const std::string& query, bool tcp);

  const Script script_;
  internal::Socket udp_, tcp_, stop_, stopped_;
  uint16_t port_ = 0;
  std::string last_;  // what Answer answers, on the server's thread
  Watched<std::vector<std::string>> asked_, answered_;
  std::thread thread_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_SCRIPTED_DNS_H_
