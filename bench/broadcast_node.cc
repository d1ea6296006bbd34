// A process of a cluster whose first node makes broadcasts: weft's side of
// bench/compare/broadcasts.py.
//
//   broadcast_node --serve <i> --port <P> --conns <C> [--io <n>] [--workers <n>] [--inline]
//     Node i of 1 to C, on port P + i - 1; says READY and serves until SIGTERM.
//   broadcast_node --port <P> --conns <C> --inflight <K> --payload <bytes> --seconds <S>
//                  [--warmup <W>] [--style callback|sync]
//     The node that makes broadcasts to those, K at a time, and prints a line of figures as an echo
//     client does; a broadcast ends when all C have answered. It listens on port P + C.
//
// Every node keeps a connection with every other, and takes calls of every other.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/echo.weft.h"
#include "bench/echoer.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/termination.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

namespace {

using weft::bench::Arguments;
using weft::bench::EchoRequest;
using weft::bench::EchoResponse;
using weft::bench::EchoRun;
using weft::bench::EchoService;
using weft::bench::Fail;

// Node `place` of `servers` that serve, or, with place 0, the one that makes broadcasts.
std::unique_ptr<weft::Node> StartNode(int place, int servers, int port, bool run_inline,
                                      weft::RuntimeOptions threads, weft::bench::Echoer& echoer) {
  std::vector<weft::Member> members;
  for (int i = 0; i <= servers; ++i) {
    const int own = i == 0 ? port + servers : port + i - 1;
    members.push_back({absl::StrCat("n", i), absl::StrCat("127.0.0.1:", own)});
  }
  weft::NodeOptions options;
  options.name = members[static_cast<size_t>(place)].name;
  options.listen = {members[static_cast<size_t>(place)].address};
  auto given = weft::StaticMembers::Create(std::move(members));
  if (!given.ok()) Fail(given.status().ToString());
  options.members = *std::move(given);
  auto runtime = weft::Runtime::Create(std::move(threads));
  if (!runtime.ok()) Fail(runtime.status().ToString());
  options.server.runtime = *std::move(runtime);
  options.server.run_inline = run_inline;
  auto node = weft::Node::Create(std::move(options));
  if (!node.ok()) Fail(node.status().ToString());
  absl::Status status = (*node)->Register(echoer);
  if (status.ok()) status = (*node)->Start();
  if (!status.ok()) Fail(status.ToString());
  return *std::move(node);
}

int Serve(int place, Arguments& arguments) {
  weft::bench::BlockTermination();
  const weft::bench::EchoServerOptions asked(arguments);
  const auto servers = static_cast<int>(arguments.Integer("conns", 9, place, 1000));
  weft::RuntimeOptions threads;
  threads.io_threads = asked.io_threads;
  threads.worker_threads = asked.workers;
  // A node that cannot reach its peers yet has nothing to tell.
  threads.log_level = weft::LogLevel::kError;
  const bool run_inline = arguments.Flag("inline");
  arguments.RefuseUnread();
  weft::bench::Echoer echoer;
  const auto node = StartNode(place, servers, asked.port, run_inline, std::move(threads), echoer);
  weft::bench::AnnounceReady();
  weft::bench::WaitForTermination();
  node->Stop();
  return 0;
}

// One broadcast under way, replaced when it ends.
class Chain {
 public:
  Chain(EchoRun& run, const weft::Node& node, uint64_t first)
      : run_(run), node_(node), number_(first << 32) {
    request_.set_payload(run.pattern().bytes());
  }

  void Callback() {
    Prepare();
    weft::BroadcastAsync(node_, EchoService::kEcho, request_, {},
                         [this](const weft::BroadcastResult<EchoResponse>& result) {
                           if (Finish(result)) {
                             Callback();
                           } else {
                             run_.PartyDone();
                           }
                         });
  }
  void Blocking() {
    do {
      Prepare();
    } while (Finish(weft::Broadcast(node_, EchoService::kEcho, request_)));
    run_.PartyDone();
  }

 private:
  void Prepare() {
    run_.pattern().Stamp(request_.mutable_payload()->data(), ++number_);
    start_ = weft::bench::NowNanos();
  }
  bool Finish(const weft::BroadcastResult<EchoResponse>& result) {
    bool good = result.status.ok() && result.ok == run_.options().connections;
    if (!good) std::fprintf(stderr, "failed: %s\n", result.status.ToString().c_str());
    for (const auto& peer : result.peers) {
      good = good && run_.recorder().Check(peer.reply->payload().data(),
                                           peer.reply->payload().size(), number_);
    }
    return run_.recorder().Finish(start_, weft::bench::NowNanos(), good);
  }

  EchoRun& run_;
  const weft::Node& node_;
  EchoRequest request_;
  uint64_t number_;
  uint64_t start_ = 0;
};

int MakeBroadcasts(Arguments& arguments) {
  const weft::bench::EchoClientOptions options(arguments);
  const std::string style = arguments.Text("style", "callback");
  arguments.RefuseUnread();
  if (style != "callback" && style != "sync") Fail("--style is callback or sync");
  EchoRun run(options);
  weft::bench::Echoer echoer;
  const auto node =
      StartNode(0, options.connections, options.port, /*run_inline=*/true, {}, echoer);
  const absl::Status up = node->WaitUntilUp(weft::Want::All(), absl::Seconds(20));
  if (!up.ok()) Fail(up.ToString());
  std::vector<std::unique_ptr<Chain>> chains;
  for (int i = 0; i < options.inflight; ++i) {
    chains.push_back(std::make_unique<Chain>(run, *node, static_cast<uint64_t>(i)));
  }
  run.Start(static_cast<int>(chains.size()));
  std::vector<std::thread> threads;
  for (auto& chain : chains) {
    if (style == "sync") {
      threads.emplace_back([&chain] { chain->Blocking(); });
    } else {
      chain->Callback();
    }
  }
  const int status = run.FinishAndPrint();
  for (std::thread& thread : threads) thread.join();
  node->Stop();
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  const auto place = static_cast<int>(arguments.Integer("serve", 0, 0, 1000));
  return place > 0 ? Serve(place, arguments) : MakeBroadcasts(arguments);
}
