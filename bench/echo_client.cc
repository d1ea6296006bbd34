// weft's echo client, after the echo contract: generated stub, public headers, nothing made for
// echo.
//
// One channel a connection, all on one I/O thread; calls that end are replaced from their
// callbacks. At one call on one connection the blocking style is used unless --style says
// otherwise.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/block_faults.h"
#include "bench/echo.weft.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"
#include "weft/rpc/channel.h"

namespace {

using weft::bench::EchoRequest;
using weft::bench::EchoResponse;
using weft::bench::EchoRun;
using weft::bench::EchoService;

bool Good(EchoRun& run, const absl::StatusOr<EchoResponse>& reply, uint64_t number) {
  if (!reply.ok()) {
    std::fprintf(stderr, "call failed: %s\n", reply.status().ToString().c_str());
    return false;
  }
  return run.recorder().Check(reply->payload().data(), reply->payload().size(), number);
}

// One call outstanding, replaced when it ends.
class Chain {
 public:
  Chain(EchoRun& run, EchoService::Stub& stub, uint64_t first)
      // Chains have numbers of their own, and the payload carries the number: a reply that went to
      // another chain would be noticed.
      : run_(run), stub_(stub), number_(first << 32) {
    request_.set_payload(run.pattern().bytes());
  }

  void Callback() {
    Prepare();
    stub_.EchoAsync(request_, {}, [this](absl::StatusOr<EchoResponse> reply) {
      if (Finish(std::move(reply))) {
        Callback();
      } else {
        run_.PartyDone();
      }
    });
  }

  void Blocking() {
    do {
      Prepare();
    } while (Finish(stub_.Echo(request_)));
    run_.PartyDone();
  }

  weft::Coro<bool> Coroutine() {
    for (;;) {
      Prepare();
      if (!Finish(co_await stub_.EchoCoro(request_))) break;
    }
    run_.PartyDone();
    co_return true;
  }

 private:
  void Prepare() {
    run_.pattern().Stamp(request_.mutable_payload()->data(), ++number_);
    start_ = weft::bench::NowNanos();
  }
  bool Finish(absl::StatusOr<EchoResponse> reply) {
    const bool good = Good(run_, reply, number_);
    return run_.recorder().Finish(start_, weft::bench::NowNanos(), good);
  }

  EchoRun& run_;
  EchoService::Stub& stub_;
  EchoRequest request_;
  uint64_t number_;
  uint64_t start_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  weft::bench::Arguments arguments(argc, argv);
  const weft::bench::EchoClientOptions options(arguments);
  const std::string style = arguments.Text("style", options.IsOneCaller() ? "sync" : "callback");
  const std::string protocol = arguments.Text("protocol", "native");
  const auto spin = absl::Microseconds(arguments.Integer("spin-us", 50, 0, 1'000'000));
  const bool report_blocks = arguments.Flag("report-blocks");
  arguments.RefuseUnread();
  if (protocol != "native")
    weft::bench::Fail("--protocol " + protocol + " is not spoken by this version");
  if (style != "sync" && style != "callback" && style != "coro")
    weft::bench::Fail("--style is sync, callback or coro");

  absl::StatusOr<std::shared_ptr<weft::Runtime>> runtime = weft::Runtime::Create({.spin = spin});
  if (!runtime.ok()) weft::bench::Fail(runtime.status().ToString());
  std::vector<std::unique_ptr<weft::Channel>> channels;
  std::vector<std::unique_ptr<EchoService::Stub>> stubs;
  const std::string target = "127.0.0.1:" + std::to_string(options.port);
  EchoRun run(options);
  if (report_blocks) run.CountBlockFaults([&] { return weft::bench::BlockFaults(**runtime); });
  for (int i = 0; i < options.connections; ++i) {
    weft::ChannelOptions channel;
    channel.runtime = *runtime;
    auto made = weft::Channel::Create(target, channel);
    if (!made.ok()) weft::bench::Fail(made.status().ToString());
    channels.push_back(*std::move(made));
    stubs.push_back(std::make_unique<EchoService::Stub>(*channels.back()));
    // A first call brings the connection up.
    EchoRequest request;
    auto reply = stubs.back()->Echo(request);
    if (!reply.ok()) weft::bench::Fail(reply.status().ToString());
  }

  std::vector<std::unique_ptr<Chain>> chains;
  for (int i = 0; i < options.connections * options.inflight; ++i) {
    auto& stub = *stubs[static_cast<size_t>(i % options.connections)];
    chains.push_back(std::make_unique<Chain>(run, stub, static_cast<uint64_t>(i)));
  }
  run.Start(static_cast<int>(chains.size()));
  std::vector<std::thread> threads;
  for (auto& chain : chains) {
    if (style == "sync") {
      threads.emplace_back([&chain] { chain->Blocking(); });
    } else if (style == "callback") {
      chain->Callback();
    } else {
      weft::Spawn(chain->Coroutine(), [](std::optional<bool>, std::exception_ptr) {});
    }
  }
  const int status = run.FinishAndPrint();
  for (std::thread& thread : threads) thread.join();
  return status;
}
