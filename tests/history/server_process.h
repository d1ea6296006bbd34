// A server in a process of its own, which may be killed, stopped, held and started again: this
// program, run with --serve.
//
//   Start ──► serving ──Kill / Stop──► gone ──Start──► serving, at another port
//
// Threads  value
// Owns     the process
// Errors   ends this program with a message: a run cannot go on without its servers
#ifndef WEFT_TESTS_HISTORY_SERVER_PROCESS_H_
#define WEFT_TESTS_HISTORY_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace weft::test {

class ServerProcess {
 public:
  // `style`: of its handlers, a CallStyle.
  ServerProcess(std::string ledger, size_t keys, size_t style)
      : ledger_(std::move(ledger)), keys_(keys), style_(style) {}
  ~ServerProcess() { Kill(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Returns its port.
  int Start();
  // kill -9.
  void Kill();
  // SIGTERM: it drains. Returns how many connections it ended for broken frames.
  int64_t Stop();
  // SIGSTOP, SIGCONT.
  void Hold();
  void Release();

  // The main function of the process: serves until SIGTERM. Returns its exit code.
  static int Serve(const std::string& ledger, size_t keys, size_t style);

 private:
  // The next line that the process prints; empty at its end.
  std::string ReadLine();
  void Reap();

  const std::string ledger_;
  const size_t keys_;
  const size_t style_;
  pid_t pid_ = 0;  // 0: gone
  int output_ = -1;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_SERVER_PROCESS_H_
