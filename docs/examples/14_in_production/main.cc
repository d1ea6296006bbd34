#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

// A file that exists while the server takes calls.
class ReadyFile {
 public:
  explicit ReadyFile(std::filesystem::path path) : path_(std::move(path)) {}

  void Follow(weft::ServerState state) {
    if (state == weft::ServerState::kServing) {
      std::ofstream(path_) << "ready\n";
    } else {
      // Draining and stopped are both told, so the file may be gone: not an error.
      std::error_code gone_already;
      std::filesystem::remove(path_, gone_already);
    }
  }
  bool Exists() const { return std::filesystem::exists(path_); }

 private:
  const std::filesystem::path path_;
};

class Jobs final : public jobs::Jobs::Service {
 public:
  absl::Status Run(weft::ServerContext&, jobs::RunRequest&, jobs::RunReply& reply) override {
    // Tells main's other thread that the job is under way.
    begun.set_value();
    may_end.get_future().wait();
    reply.set_report("done");
    return absl::OkStatus();
  }
  std::promise<void> begun, may_end;
};

// Blocks SIGTERM and SIGINT in this thread and in those that it starts.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int Failed(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}

// The whole of a server's main, but for the thread that plays the orchestrator.
template <typename Orchestrator>
int Serve(const sigset_t& signals, ReadyFile& ready, Jobs& service, Orchestrator orchestrator) {
  weft::ServerOptions options;
  options.on_state = [&ready](weft::ServerState state) { ready.Follow(state); };
  // Shorter than the time until SIGKILL: 30 seconds by Kubernetes' default.
  options.drain = absl::Seconds(20);
  weft::Server server(options);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return Failed(status);
  std::thread other(orchestrator, server.port());

  int signal = 0;
  // A thread that waits, and not a signal handler, which could not call Stop.
  sigwait(&signals, &signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second one ends the process at once
  server.Stop();
  // Comes after Stop: the other thread waits until the ready file is gone, and Stop removes it.
  other.join();
  return 0;
}

int main() {
  // Before any thread starts, for threads inherit the mask.
  const sigset_t signals = BlockSignals();
  char folder[] = "/tmp/weft-ready-XXXXXX";
  if (mkdtemp(folder) == nullptr) return Failed(absl::InternalError("no folder"));
  ReadyFile ready(std::filesystem::path(folder) / "ready");
  Jobs service;

  const int code = Serve(signals, ready, service, [&](int port) {
    while (!ready.Exists()) std::this_thread::yield();
    std::printf("ready\n");

    auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(port));
    if (!channel.ok()) std::abort();
    std::promise<absl::StatusOr<jobs::RunReply>> ended;
    jobs::Jobs::Stub(**channel).RunAsync(
        jobs::RunRequest(), {.timeout = absl::InfiniteDuration()},
        [&](absl::StatusOr<jobs::RunReply> reply) { ended.set_value(std::move(reply)); });
    // The job has to be under way before the signal, or the server would be idle and end at once.
    service.begun.get_future().wait();

    kill(getpid(), SIGTERM);
    while (ready.Exists()) std::this_thread::yield();
    std::printf("SIGTERM: not ready any more, and a job under way\n");

    // Only now: the job shall still run while the server drains.
    service.may_end.set_value();
    const absl::StatusOr<jobs::RunReply> reply = ended.get_future().get();
    std::printf("the job: %s\n", reply.ok() ? reply->report().c_str() : "lost");
  });
  std::printf("exit code %d\n", code);
  std::filesystem::remove_all(folder);
  return code;
}
