// weft's echo server, after the echo contract: generated service, public headers, nothing made for
// echo.
#include <cstdio>
#include <utility>

#include "bench/block_faults.h"
#include "bench/echo.weft.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/termination.h"
#include "weft/rpc/server.h"

namespace {

class EchoHandler final : public weft::bench::EchoService::Service {
 public:
  explicit EchoHandler(const weft::bench::EchoServerOptions& options) : sleeper_(options) {}

  absl::Status Echo(weft::ServerContext&, weft::bench::EchoRequest& request,
                    weft::bench::EchoResponse& reply) override {
    sleeper_.SleepIfDue();
    // The request is the handler's own, so the payload is moved and not copied.
    reply.set_payload(std::move(*request.mutable_payload()));
    return absl::OkStatus();
  }

 private:
  weft::bench::Sleeper sleeper_;
};

void PrintStats(const weft::Server& server) {
  for (const weft::MethodStatsSnapshot& method : server.Stats()) {
    std::fprintf(stderr, "%s: %lld calls, %lld errors, p50 %.1f us, p99 %.1f us\n",
                 method.method.c_str(), static_cast<long long>(method.calls),
                 static_cast<long long>(method.errors()),
                 static_cast<double>(method.Quantile(0.5).count()) / 1e3,
                 static_cast<double>(method.Quantile(0.99).count()) / 1e3);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Before any thread starts: threads inherit the mask, and main alone waits for signals.
  weft::bench::BlockTermination();
  weft::bench::Arguments arguments(argc, argv);
  const weft::bench::EchoServerOptions asked(arguments);
  weft::ServerOptions options;
  weft::RuntimeOptions threads;
  threads.io_threads = asked.io_threads;
  threads.worker_threads = asked.workers;
  threads.max_worker_threads = static_cast<int>(arguments.Integer("max-workers", 0, 0, 1024));
  threads.spin = absl::Microseconds(arguments.Integer("spin-us", 50, 0, 1'000'000));
  options.run_inline = arguments.Flag("inline");
  const bool report_blocks = arguments.Flag("report-blocks");
  arguments.RefuseUnread();
  auto runtime = weft::Runtime::Create(threads);
  if (!runtime.ok()) {
    std::fprintf(stderr, "error: %s\n", runtime.status().ToString().c_str());
    return 2;
  }
  options.runtime = *runtime;

  EchoHandler echo(asked);
  weft::Server server(options);
  absl::Status status = server.Register(echo);
  if (status.ok()) status = server.Start("127.0.0.1:" + std::to_string(asked.port));
  if (!status.ok()) {
    std::fprintf(stderr, "error: %s\n", status.ToString().c_str());
    return 2;
  }
  weft::bench::AnnounceReady();
  // SIGUSR1 asks for the count so far (bench/compare/measurement.py).
  while (weft::bench::WaitForSignal() == SIGUSR1) {
    if (!report_blocks) continue;
    std::printf("{\"block_faults\": %.0f}\n", weft::bench::BlockFaults(**runtime));
    std::fflush(stdout);
  }
  server.Stop();
  // After Stop, when every call has been counted.
  PrintStats(server);
  return 0;
}
