// Stands between channels and a server: forwards bytes, until something breaks.
//
//   channel ◄──► port() ◄──forwards, late and in pieces; cuts; ends one way; falls silent──► server
//
// Each connection draws from a generator of its own, which begins with the seed and the number of
// the connection: so the seed alone decides the fate of each, and the delay of each piece that is
// read, whatever the others do meanwhile. The cuts that are asked for draw from another one. Bytes
// are never changed, nor is their order.
//
// Threads  any; it forwards on its own
// Owns     its sockets; knows the server by its port alone
// Errors   ends this program with a message where it cannot listen
// Ends     with its destructor
#ifndef WEFT_TESTS_HISTORY_CUTTING_PROXY_H_
#define WEFT_TESTS_HISTORY_CUTTING_PROXY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace weft::test {

class CuttingProxy {
 public:
  explicit CuttingProxy(uint64_t seed);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  int port() const { return port_; }
  // Sends connections to this server from now on.
  void SetServer(int port) { server_port_.store(port); }
  // Cuts a connection, or all there are, soon.
  void CutOne() { cuts_wanted_.fetch_add(1); }
  void CutAll() { cuts_wanted_.store(kAll); }

  struct Counts {
    int64_t connections = 0, cut = 0, ended_one_way = 0, silent = 0;
  };
  Counts counts() const;

 private:
  static constexpr int kAll = 1 << 20;

  // One way of a connection.
  struct Way {
    int from = -1, to = -1;
    std::string waiting;  // read, and not yet written
    int64_t not_before = 0;
    int64_t left = 0;  // bytes until its fate comes
    bool at_end = false;
    bool silent = false;  // takes bytes, and drops them
    uint64_t random = 0;  // draws its delays
  };
  enum class Fate : uint8_t { kNone, kCut, kReset, kEndOneWay, kSilent };
  struct Link {
    int client = -1, server = -1;
    Way ways[2];
    Fate fate = Fate::kNone;
    int64_t delay_us = 0;
    size_t max_at_once = 0;
    bool over = false;
  };

  void Forward();
  void Accept();
  void CutWhatIsWanted();
  void Serve(Link& link, Way& way, int64_t now);
  void ReadFrom(Link& link, Way& way, int64_t now);
  void WriteTo(Link& link, Way& way);
  void Meet(Link& link, Way& way);
  void End(Link& link, bool reset);
  // Draws what is to happen to the connection of this number.
  void DrawFate(Link& link, uint64_t number);

  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> server_port_{0};
  std::atomic<int> cuts_wanted_{0};
  std::atomic<bool> ending_{false};
  std::atomic<int64_t> connections_{0}, cut_{0}, ended_one_way_{0}, silent_{0};
  const uint64_t seed_;
  // The thread's own.
  uint64_t cuts_random_;  // draws which connection is cut, and how
  std::vector<std::unique_ptr<Link>> links_;
  std::thread thread_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CUTTING_PROXY_H_
