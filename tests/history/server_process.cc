#include "tests/history/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/history/async_stream_service.h"
#include "tests/history/history_services.h"
#include "tests/history/ledger.h"
#include "tests/history/session_limits.h"
#include "tests/history/stream_services.h"
#include "weft/rpc/server.h"

extern char** environ;

namespace weft::test {
namespace {

[[noreturn]] void Give(const std::string& what) {
  std::fprintf(stderr, "server process: %s\n", what.c_str());
  std::exit(3);
}

std::unique_ptr<Service> Echoes(HistorySink& sink, CallStyle style) {
  if (style == CallStyle::kBlocking) return std::make_unique<BlockingHistoryService>(sink);
  if (style == CallStyle::kCallback) return std::make_unique<AsyncHistoryService>(sink);
  return std::make_unique<CoroHistoryService>(sink);
}

std::unique_ptr<Service> Streams(HistorySink& sink, CallStyle style) {
  if (style == CallStyle::kBlocking) return std::make_unique<BlockingStreamService>(sink);
  if (style == CallStyle::kCallback) return std::make_unique<AsyncStreamService>(sink);
  return std::make_unique<CoroStreamService>(sink);
}

}  // namespace

int ServerProcess::Start() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) Give("no pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  std::string program = "/proc/self/exe", serve = "--serve", ledger = ledger_,
              keys = absl::StrCat(keys_), style = absl::StrCat(style_);
  char* const arguments[] = {program.data(), serve.data(), ledger.data(),
                             keys.data(),    style.data(), nullptr};
  const int error = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  output_ = ends[0];
  int port = 0;
  if (error != 0 || !absl::SimpleAtoi(ReadLine(), &port)) Give("does not start");
  return port;
}

void ServerProcess::Kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  Reap();
}

int64_t ServerProcess::Stop() {
  ::kill(pid_, SIGTERM);
  int64_t faults = 0;
  const bool said = absl::SimpleAtoi(ReadLine(), &faults);
  Reap();
  if (!said) Give("ended otherwise than it was told to");
  return faults;
}

void ServerProcess::Hold() { ::kill(pid_, SIGSTOP); }

void ServerProcess::Release() { ::kill(pid_, SIGCONT); }

std::string ServerProcess::ReadLine() {
  std::string line;
  for (char c = 0;;) {
    const ssize_t n = ::read(output_, &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || c == '\n') return line;
    line.push_back(c);
  }
}

void ServerProcess::Reap() {
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  ::close(output_);
  output_ = -1;
}

int ServerProcess::Serve(const std::string& ledger, size_t keys, size_t style) {
  const pid_t parent = ::getppid();
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  // Before any thread starts, for all of them inherit the mask.
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  auto opened = Ledger::Open(ledger, keys);
  if (!opened.ok() || style >= kCallStyles) return 1;
  LedgerSink sink(**opened);
  const std::unique_ptr<Service> echoes = Echoes(sink, CallStyle(style));
  const std::unique_ptr<Service> streams = Streams(sink, CallStyle(style));
  // A short queue, so that calls are refused at times.
  auto runtime = Runtime::Create({.io_threads = 2,
                                  .worker_threads = 4,
                                  .max_worker_threads = 16,
                                  .worker_queue = 100,
                                  .log_level = LogLevel::kOff});
  if (!runtime.ok()) return 1;
  Server server({.runtime = *runtime, .limits = HistoryLimits()});
  absl::Status status = server.Register(*echoes);
  if (status.ok()) status = server.Register(*streams);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  // Looks for its parent once a second: the server must not outlive a run that was killed.
  const timespec look{1, 0};
  while (::sigtimedwait(&signals, nullptr, &look) != SIGTERM) {
    if (::getppid() != parent) return 1;
  }
  server.Stop(absl::Milliseconds(200));
  std::printf("%lld\n", static_cast<long long>(FramingFaultsOf(server)));
  std::fflush(stdout);
  return 0;
}

}  // namespace weft::test
