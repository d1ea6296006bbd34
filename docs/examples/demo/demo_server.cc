// The demo's server: a store of keys and values on a free port of this machine.
//
// Prints "listening on <address>", serves until SIGTERM or SIGINT, stops gracefully and prints each
// method's numbers.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "demo.weft.h"
#include "weft/rpc/server.h"

namespace {

// Number of threads of this process.
int Threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

class Store final : public demo::Store::Service {
 public:
  // Sets the server whose numbers Status gives. Call it before the server starts.
  void Watch(const weft::Server* server) { server_ = server; }

  absl::Status Put(weft::ServerContext&, demo::PutRequest& request,
                   demo::PutReply& reply) override {
    if (request.key().empty()) return absl::InvalidArgumentError("a key has at least one byte");
    const std::lock_guard lock(mu_);
    values_[request.key()] = std::move(*request.mutable_value());
    reply.set_keys(static_cast<int64_t>(values_.size()));
    return absl::OkStatus();
  }

  absl::Status Get(weft::ServerContext&, demo::GetRequest& request,
                   demo::GetReply& reply) override {
    const std::lock_guard lock(mu_);
    const auto it = values_.find(request.key());
    if (it == values_.end()) return absl::NotFoundError(absl::StrCat("no key ", request.key()));
    reply.set_value(it->second);
    return absl::OkStatus();
  }

  // Blocks its worker, and checks now and then if the caller still waits.
  absl::Status Compact(weft::ServerContext& call, demo::CompactRequest& request,
                       demo::CompactReply& reply) override {
    const absl::Time end = absl::Now() + absl::Milliseconds(request.milliseconds());
    while (absl::Now() < end) {
      if (call.cancelled()) return absl::CancelledError("nobody waits for the answer any more");
      absl::SleepFor(absl::Milliseconds(5));
    }
    reply.set_report(absl::StrCat("compacted in ", request.milliseconds(), " ms"));
    return absl::OkStatus();
  }

  absl::Status Status(weft::ServerContext&, demo::StatusRequest&,
                      demo::StatusReply& reply) override {
    for (const weft::MethodStatsSnapshot& method : server_->Stats()) {
      reply.set_calls(reply.calls() + method.calls);
      reply.set_errors(reply.errors() + method.errors());
    }
    reply.set_connections(server_->connections().open);
    reply.set_threads(Threads());
    return absl::OkStatus();
  }

 private:
  const weft::Server* server_ = nullptr;
  std::mutex mu_;
  std::unordered_map<std::string, std::string> values_;
};

double Microseconds(weft::Nanos time) { return static_cast<double>(time.count()) / 1e3; }

}  // namespace

int main() {
  // weft installs no signal handlers. Signals blocked before the first thread starts are blocked in
  // all threads, so that sigwait below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Store store;
  weft::Server server({.io_threads = 2, .worker_threads = 4});
  store.Watch(&server);
  server.Register(store).IgnoreError();  // Start reports the same error
  if (const absl::Status status = server.Start("127.0.0.1:0"); !status.ok()) {
    std::fprintf(stderr, "demo_server: %s\n", status.ToString().c_str());
    return 1;
  }
  std::printf("listening on 127.0.0.1:%d\n", server.port());
  // The script that started this server waits for the line, and a pipe is buffered.
  std::fflush(stdout);

  int signal = 0;
  sigwait(&signals, &signal);
  // Waits for the calls under way, and refuses new ones meanwhile.
  server.Stop();

  for (const weft::MethodStatsSnapshot& method : server.Stats()) {
    std::printf("%-20s %9lld calls %6lld errors   p50 %8.1f us   p99 %8.1f us\n",
                method.method.c_str(), static_cast<long long>(method.calls),
                static_cast<long long>(method.errors()), Microseconds(method.Quantile(0.5)),
                Microseconds(method.Quantile(0.99)));
  }
  return 0;
}
