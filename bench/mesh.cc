// Measures what a node costs: calls by node.To beside calls by a channel, and a mesh that is idle.
//
//   mesh calls [--rounds <n>] [--calls <n>] [--inflight <n>]
//     Two nodes in one process, over unix sockets. Rounds of calls of 32 bytes by a channel and by
//     node.To, in turn. Prints CPU a call of both ends together, and the ratio: the median of the
//     rounds' own.
//   mesh idle [--nodes <n>] [--seconds <n>] [--heartbeat-ms <n>]
//     So many nodes in one process, on one I/O thread each, over unix sockets. When all pairs are
//     up and quiet: CPU of a node in percent of a core, and wake-ups a second of a node. Memory, in
//     bytes: "own" is what operator new gave out, for a node alone, for each peer that it has, and
//     for its end of each connection, the dialer of its slot included; "heap" is all of malloc's, a
//     share of libevent and of the node in it, for each end. To tell ends from peers a mesh of
//     30 nodes at most runs with one and with two connections a pair.
//   mesh broadcast [--nodes 3,10,30] [--payload <bytes>] [--outstanding <n>] [--rounds <n>]
//                  [--seconds <n>]
//     So many nodes in one process, on one I/O thread each, over TCP on 127.0.0.1. The first one
//     sends broadcasts to all others, each of which sends the payload back. A Markdown table: the
//     latency until all have answered, and CPU of all nodes together; medians of the rounds.
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/echo.weft.h"
#include "bench/echoer.h"
#include "bench/median.h"
#include "bench/own_bytes.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/latency_histogram.h"
#include "bench/peers/common/loopback_socket.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/process_cpu.h"
#include "weft/rpc/broadcast.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

namespace {

using weft::bench::Arguments;
using weft::bench::Fail;
using weft::bench::Median;

struct Usage {
  double cpu_us = 0;
  double waits = 0;  // voluntary context switches

  static Usage Now() {
    rusage r{};
    ::getrusage(RUSAGE_SELF, &r);
    return {weft::bench::ProcessCpuSeconds() * 1e6, static_cast<double>(r.ru_nvcsw)};
  }
};

// Ports that nobody listens on, held together until all are known.
std::vector<int> FreePorts(int count) {
  std::vector<int> sockets, ports;
  for (int i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = weft::bench::LoopbackAddress(0);
    socklen_t length = sizeof address;
    if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      Fail("no port");
    }
    sockets.push_back(fd);
    ports.push_back(ntohs(address.sin_port));
  }
  for (const int fd : sockets) ::close(fd);
  return ports;
}

std::vector<weft::Member> OverUnix(int size) {
  std::vector<weft::Member> members;
  for (int i = 0; i < size; ++i) {
    members.push_back({absl::StrCat("n", i), absl::StrCat("unix:@weft-bench-", getpid(), "-", i)});
  }
  return members;
}

std::vector<weft::Member> OverTcp(int size) {
  std::vector<weft::Member> members;
  for (const int port : FreePorts(size)) {
    members.push_back({absl::StrCat("n", members.size()), absl::StrCat("127.0.0.1:", port)});
  }
  return members;
}

struct MeshOptions {
  absl::Duration heartbeat = absl::Seconds(1);
  int connections_per_peer = 1;
  bool alone = false;  // each node is the only one that it knows
};

// Nodes "n0", "n1", …, all up.
class Mesh {
 public:
  explicit Mesh(const std::vector<weft::Member>& members, const MeshOptions& wanted = {}) {
    for (size_t i = 0; i < members.size(); ++i) {
      auto given = weft::StaticMembers::Create(wanted.alone ? std::vector<weft::Member>{members[i]}
                                                            : members);
      if (!given.ok()) Fail(given.status().ToString());
      weft::NodeOptions options;
      options.name = members[i].name;
      options.listen = {members[i].address};
      options.members = *std::move(given);
      options.heartbeat = wanted.heartbeat;
      options.connections_per_peer = wanted.connections_per_peer;
      options.server.worker_threads = 1;
      options.server.run_inline = true;
      auto node = weft::Node::Create(std::move(options));
      if (!node.ok()) Fail(node.status().ToString());
      if (const absl::Status s = (*node)->Register(echoer_); !s.ok()) Fail(s.ToString());
      if (const absl::Status s = (*node)->Start(); !s.ok()) Fail(s.ToString());
      nodes_.push_back(*std::move(node));
    }
    for (const auto& node : nodes_) {
      const absl::Status s = node->WaitUntilUp(weft::Want::All(), absl::Minutes(2));
      if (!s.ok()) Fail(s.ToString());
    }
  }

  weft::Node& operator[](size_t i) { return *nodes_[i]; }

 private:
  weft::bench::Echoer echoer_;
  std::vector<std::unique_ptr<weft::Node>> nodes_;
};

// So many calls of 32 bytes, `inflight` at a time; CPU of the whole process for each, in µs.
double CpuOfCalls(weft::CallTarget& target, int64_t calls, int64_t inflight) {
  weft::bench::EchoService::Stub stub(target);
  weft::bench::EchoRequest request;
  request.set_payload(std::string(32, 'x'));
  std::atomic<int64_t> left{calls}, open{inflight};
  std::atomic<bool> failed{false};
  const std::function<void()> next = [&] {
    if (left.fetch_sub(1) <= 0) {
      if (open.fetch_sub(1) == 1) open.notify_all();
      return;
    }
    stub.EchoAsync(request, {}, [&](const absl::StatusOr<weft::bench::EchoResponse>& reply) {
      if (!reply.ok()) failed = true;
      next();
    });
  };
  const Usage before = Usage::Now();
  for (int64_t i = 0; i < inflight; ++i) next();
  for (int64_t now = open; now > 0; now = open) open.wait(now);
  if (failed) Fail("a call failed");
  return (Usage::Now().cpu_us - before.cpu_us) / static_cast<double>(calls);
}

int RunCalls(Arguments& arguments) {
  const int64_t rounds = arguments.Integer("rounds", 11, 1, 1000);
  const int64_t calls = arguments.Integer("calls", 100'000, 1, 100'000'000);
  const int64_t inflight = arguments.Integer("inflight", 64, 1, 100'000);
  arguments.RefuseUnread();
  Mesh mesh(OverUnix(2));
  const std::shared_ptr<weft::Peer> peer = mesh[0].To("n1");
  auto channel = weft::Channel::Create(peer->Info().address);
  if (!channel.ok()) Fail(channel.status().ToString());
  std::vector<double> by_channel, by_node, ratios;
  for (int64_t i = -1; i < rounds; ++i) {
    const bool node_first = i % 2 == 0;
    double node = node_first ? CpuOfCalls(*peer, calls, inflight) : 0;
    const double other = CpuOfCalls(**channel, calls, inflight);
    if (!node_first) node = CpuOfCalls(*peer, calls, inflight);
    if (i < 0) continue;  // warm-up
    by_channel.push_back(other);
    by_node.push_back(node);
    ratios.push_back(node / other);
  }
  std::printf("{\"inflight\":%ld,\"channel_cpu_us\":%.3f,\"node_cpu_us\":%.3f,\"ratio\":%.3f}\n",
              static_cast<long>(inflight), Median(by_channel), Median(by_node), Median(ratios));
  return 0;
}

// Two looks of the trimmer, and two heartbeats.
void AwaitQuiet() { std::this_thread::sleep_for(std::chrono::seconds(5)); }

// Returns the bytes that a quiet mesh holds of its own.
double OwnBytesOf(const std::vector<weft::Member>& members, const MeshOptions& options) {
  const int64_t before = weft::bench::OwnBytes();
  Mesh mesh(members, options);
  AwaitQuiet();
  return static_cast<double>(weft::bench::OwnBytes() - before);
}

// The bytes of one end of a connection: a second connection for each pair adds them.
double OwnBytesOfAnEnd(const std::vector<weft::Member>& members, const MeshOptions& options) {
  MeshOptions twice = options;
  twice.connections_per_peer = 2;
  const double once = OwnBytesOf(members, options);
  const auto nodes = static_cast<double>(members.size());
  return (OwnBytesOf(members, twice) - once) / (nodes * (nodes - 1));
}

int RunIdle(Arguments& arguments) {
  const auto nodes = static_cast<int>(arguments.Integer("nodes", 10, 2, 1000));
  const double seconds = arguments.Real("seconds", 10, 0.1, 3600);
  MeshOptions options;
  options.heartbeat = absl::Milliseconds(arguments.Integer("heartbeat-ms", 1000, 10, 3'600'000));
  arguments.RefuseUnread();
  weft::bench::CountOwnBytes();
  const std::vector<weft::Member> members = OverUnix(nodes);
  const auto heap_before = static_cast<double>(mallinfo2().uordblks);
  const auto own_before = static_cast<double>(weft::bench::OwnBytes());
  double heap, own;
  Usage before, after;
  {
    Mesh mesh(members, options);
    AwaitQuiet();
    heap = static_cast<double>(mallinfo2().uordblks) - heap_before;
    own = static_cast<double>(weft::bench::OwnBytes()) - own_before;
    before = Usage::Now();
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    after = Usage::Now();
  }
  MeshOptions alone = options;
  alone.alone = true;
  const double ends = static_cast<double>(nodes) * (nodes - 1);
  const double of_nodes = OwnBytesOf(members, alone);
  const double of_an_end = OwnBytesOfAnEnd(OverUnix(std::min(nodes, 30)), options);
  std::printf(
      "{\"nodes\":%d,\"cpu_percent_a_node\":%.4f,\"wakeups_a_second_a_node\":%.2f,"
      "\"own_bytes_an_end\":%.0f,\"own_bytes_a_peer\":%.0f,\"own_bytes_a_node\":%.0f,"
      "\"heap_bytes_an_end\":%.0f}\n",
      nodes, (after.cpu_us - before.cpu_us) / seconds / 1e4 / nodes,
      (after.waits - before.waits) / seconds / nodes, of_an_end,
      (own - of_nodes) / ends - of_an_end, of_nodes / nodes, heap / ends);
  return 0;
}

// Broadcasts of one node to all others, so many at a time.
class Broadcasts {
 public:
  Broadcasts(const weft::Node& node, size_t payload) : node_(node) {
    request_.set_payload(std::string(payload, 'x'));
  }

  // Until then; returns when all have ended.
  void Run(uint64_t until, int outstanding) {
    until_ = until;
    open_ = outstanding;
    for (int i = 0; i < outstanding; ++i) Start();
    std::unique_lock lock(mu_);
    all_ended_.wait(lock, [this] { return open_ == 0; });
  }
  const weft::bench::LatencyHistogram& latencies() const { return latencies_; }

 private:
  void Start() {
    weft::BroadcastAsync(node_, weft::bench::EchoService::kEcho, request_, {},
                         [this, began = weft::bench::NowNanos()](
                             const weft::BroadcastResult<weft::bench::EchoResponse>& result) {
                           if (!result.status.ok()) Fail(result.status.ToString());
                           const uint64_t now = weft::bench::NowNanos();
                           {
                             std::lock_guard lock(mu_);
                             latencies_.Add(now - began);
                             if (now >= until_) {
                               if (--open_ == 0) all_ended_.notify_all();
                               return;
                             }
                           }
                           Start();
                         });
  }

  const weft::Node& node_;
  weft::bench::EchoRequest request_;
  uint64_t until_ = 0;
  std::mutex mu_;
  std::condition_variable all_ended_;
  int open_ = 0;                             // under mu_
  weft::bench::LatencyHistogram latencies_;  // under mu_
};

int RunBroadcast(Arguments& arguments) {
  std::istringstream sizes(arguments.Text("nodes", "3,10,30"));
  const auto payload = static_cast<size_t>(arguments.Integer("payload", 32, 0, 64 << 20));
  const auto outstanding = static_cast<int>(arguments.Integer("outstanding", 1, 1, 1000));
  const auto rounds = static_cast<int>(arguments.Integer("rounds", 3, 1, 1000));
  const double seconds = arguments.Real("seconds", 1, 0.01, 3600);
  arguments.RefuseUnread();
  std::printf("| nodes | broadcasts/s | p50 µs | p99 µs | CPU µs a broadcast | CPU µs a peer |\n");
  std::printf("|---:|---:|---:|---:|---:|---:|\n");
  for (std::string text; std::getline(sizes, text, ',');) {
    const int nodes = std::atoi(text.c_str());
    if (nodes < 2 || nodes > 1000) Fail("--nodes is a list of numbers from 2 to 1000");
    Mesh mesh(OverTcp(nodes));
    std::vector<double> rate, p50, p99, cpu;
    for (int round = -1; round < rounds; ++round) {
      Broadcasts broadcasts(mesh[0], payload);
      const uint64_t began = weft::bench::NowNanos();
      const Usage before = Usage::Now();
      broadcasts.Run(began + static_cast<uint64_t>(seconds * 1e9), outstanding);
      const double used = Usage::Now().cpu_us - before.cpu_us;
      const auto took = static_cast<double>(weft::bench::NowNanos() - began) / 1e9;
      if (round < 0) continue;  // warm-up
      const weft::bench::LatencyHistogram& latencies = broadcasts.latencies();
      const auto made = static_cast<double>(latencies.total());
      rate.push_back(made / took);
      p50.push_back(latencies.Quantile(0.5) / 1e3);
      p99.push_back(latencies.Quantile(0.99) / 1e3);
      cpu.push_back(used / made);
    }
    std::printf("| %d | %.0f | %.0f | %.0f | %.1f | %.1f |\n", nodes, Median(rate), Median(p50),
                Median(p99), Median(cpu), Median(cpu) / (nodes - 1));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  Arguments arguments(argc - 1, argv + 1);
  if (what == "calls") return RunCalls(arguments);
  if (what == "idle") return RunIdle(arguments);
  if (what == "broadcast") return RunBroadcast(arguments);
  Fail("expected 'calls', 'idle' or 'broadcast'");
}
