// Measures what a broadcast costs its caller, against as many calls with callbacks.
//
//   broadcast [--peers <n>] [--sizes 32,65536,1048576] [--rounds <n>] [--seconds <of a phase>]
//             [--outstanding <n>] [--only calls|broadcasts --count <n>]
//
// Starts a process with `peers` servers, and connects to each. Phases follow each other: `peers`
// callback calls with the same request, then a broadcast to all with the same request, each
// `outstanding` at a time. A line for each round, and one for each size with medians:
//
//   64 KiB: a broadcast 111.1 us of CPU, 9 calls 222.2 us: ratio 0.500; instructions 0.51; p50 …
//
// CPU is this process's, user and system; instructions are those in user space, where the kernel
// lets them be counted.
//
// With --only it makes `count` of one kind, and says what each cost in CPU, page faults and
// switches of threads: for a profiler, or strace -f -c.
#include "weft/rpc/broadcast.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "bench/broadcast.weft.h"
#include "bench/median.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/process_cpu.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace {

using weft::bench::Fail;
using weft::bench::Median;
using weft::bench::NowNanos;
using weft::bench::ProcessCpuSeconds;
using weft::bench::PutReply;
using weft::bench::PutRequest;
using weft::bench::StoreService;

class Store final : public StoreService::Service {
 public:
  absl::Status Put(weft::ServerContext&, PutRequest& request, PutReply& reply) override {
    reply.set_bytes(static_cast<int64_t>(request.payload().size()));
    return absl::OkStatus();
  }
};

std::shared_ptr<weft::Runtime> NewRuntime() {
  weft::RuntimeOptions options;
  options.io_threads = 1;
  options.worker_threads = 1;
  auto runtime = weft::Runtime::Create(options);
  if (!runtime.ok()) Fail(runtime.status().ToString());
  return *runtime;
}

// Says its ports on `out`, and serves until it is killed.
[[noreturn]] void Serve(int peers, int out) {
  Store store;
  const std::shared_ptr<weft::Runtime> runtime = NewRuntime();
  std::vector<std::unique_ptr<weft::Server>> servers;
  std::string ports;
  for (int i = 0; i < peers; ++i) {
    weft::ServerOptions options;
    options.runtime = runtime;
    options.run_inline = true;
    auto& server = *servers.emplace_back(std::make_unique<weft::Server>(std::move(options)));
    absl::Status status = server.Register(store);
    if (status.ok()) status = server.Start("127.0.0.1:0");
    if (!status.ok()) Fail(status.ToString());
    ports += std::to_string(server.port()) + " ";
  }
  ports += "\n";
  if (::write(out, ports.data(), ports.size()) < 0) Fail("nobody hears the ports");
  while (true) ::pause();
}

class ServerProcess {
 public:
  explicit ServerProcess(int peers) {
    int out[2];
    if (::pipe(out) != 0) Fail("no pipe");
    pid_ = ::fork();
    if (pid_ < 0) Fail("no process");
    if (pid_ == 0) Serve(peers, out[1]);
    ::close(out[1]);
    std::string text;
    for (char c = 0; c != '\n';) {
      if (::read(out[0], &c, 1) != 1) Fail("the servers do not start");
      text += c;
    }
    std::istringstream in(text);
    for (int port = 0; in >> port;) ports.push_back(port);
  }
  ~ServerProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::vector<int> ports;

 private:
  pid_t pid_ = -1;
};

class Peers final : public weft::BroadcastTargets {
 public:
  explicit Peers(const std::vector<int>& ports) {
    auto set = std::make_shared<weft::PeerSet>();
    for (const int port : ports) {
      auto channel =
          weft::Channel::Create("127.0.0.1:" + std::to_string(port), {.runtime = runtime_});
      if (!channel.ok()) Fail(channel.status().ToString());
      set->others.push_back({std::to_string(port), *std::move(channel)});
    }
    set->loop = runtime_->loops().At(0).loop;  // as a node's
    set_ = std::move(set);
  }
  std::shared_ptr<const weft::PeerSet> Snapshot() const override { return set_; }

 private:
  std::shared_ptr<weft::Runtime> runtime_ = NewRuntime();
  std::shared_ptr<const weft::PeerSet> set_;
};

// Instructions of this process in user space, threads included.
class Instructions {
 public:
  Instructions() {
    perf_event_attr attr;
    std::memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_HARDWARE;
    attr.config = PERF_COUNT_HW_INSTRUCTIONS;
    attr.exclude_kernel = 1;
    attr.exclude_hv = 1;
    // Threads that start later count, too.
    attr.inherit = 1;
    fd_ = static_cast<int>(::syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
  }
  double Count() const {
    uint64_t count = 0;
    if (fd_ < 0 || ::read(fd_, &count, sizeof count) != sizeof count) return 0;
    return static_cast<double>(count);
  }

 private:
  int fd_ = -1;
};

struct Cost {
  double cpu = 0;  // microseconds, each
  double instructions = 0;
  double p50 = 0;  // microseconds
};

// So many at a time; each says when it has ended.
class Window {
 public:
  explicit Window(int most) : free_(most), most_(most) {}
  void Enter() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return free_ > 0; });
    --free_;
  }
  void Leave(double micros) {
    std::lock_guard lock(mu_);
    took.push_back(micros);
    // Enter waits for the first free place, AwaitEmpty for all: at other numbers nobody waits.
    if (++free_ == 1 || free_ == most_) changed_.notify_one();
  }
  void AwaitEmpty() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return free_ == most_; });
  }
  std::vector<double> took;

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  int free_;
  const int most_;
};

// Starts one after the other; `one` ends with a call of its argument.
template <typename One>
Cost Measure(const Instructions& instructions, double seconds, int outstanding, One one) {
  Window window(outstanding);
  const double cpu = ProcessCpuSeconds();
  const double counted = instructions.Count();
  const uint64_t until = NowNanos() + static_cast<uint64_t>(seconds * 1e9);
  int made = 0;
  while (NowNanos() < until) {
    window.Enter();
    ++made;
    one([&window, began = NowNanos()] {
      window.Leave(static_cast<double>(NowNanos() - began) / 1e3);
    });
  }
  window.AwaitEmpty();
  Cost cost;
  cost.cpu = (ProcessCpuSeconds() - cpu) * 1e6 / made;
  cost.instructions = (instructions.Count() - counted) / made;
  cost.p50 = Median(std::move(window.took));
  return cost;
}

template <typename Done>
void CallEach(const Peers& peers, const PutRequest& request, Done done) {
  struct Left {
    std::atomic<size_t> count;
    Done done;
  };
  const std::shared_ptr<const weft::PeerSet> set = peers.Snapshot();
  auto left = std::make_shared<Left>(set->others.size(), std::move(done));
  for (const weft::PeerSet::Peer& peer : set->others) {
    StoreService::Stub(*peer.target).PutAsync(request, {}, [left](absl::StatusOr<PutReply> reply) {
      if (!reply.ok()) Fail(reply.status().ToString());
      if (left->count.fetch_sub(1) == 1) left->done();
    });
  }
}

template <typename Done>
void BroadcastOne(const Peers& peers, const PutRequest& request, Done done) {
  weft::BroadcastAsync(peers, StoreService::kPut, request, {},
                       [done](weft::BroadcastResult<PutReply> result) {
                         if (!result.status.ok()) Fail(result.status.ToString());
                         done();
                       });
}

// For a profiler: `count` of one kind, one after the other.
template <typename One>
void Repeat(int count, One one) {
  rusage before, after;
  ::getrusage(RUSAGE_SELF, &before);
  Window window(1);
  for (int i = 0; i < count; ++i) {
    window.Enter();
    one([&window] { window.Leave(0); });
  }
  window.AwaitEmpty();
  ::getrusage(RUSAGE_SELF, &after);
  const auto micros = [count](const timeval& to, const timeval& from) {
    return (static_cast<double>(to.tv_sec - from.tv_sec) * 1e6 +
            static_cast<double>(to.tv_usec - from.tv_usec)) /
           count;
  };
  const auto each = [count](long to, long from) { return static_cast<double>(to - from) / count; };
  std::printf("user %.1f us, system %.1f us, page faults %.2f, switches %.2f\n",
              micros(after.ru_utime, before.ru_utime), micros(after.ru_stime, before.ru_stime),
              each(after.ru_minflt, before.ru_minflt),
              each(after.ru_nvcsw + after.ru_nivcsw, before.ru_nvcsw + before.ru_nivcsw));
}

std::string Named(size_t size) {
  if (size >= (1 << 20)) return std::to_string(size >> 20) + " MiB";
  return size >= 1024 ? std::to_string(size >> 10) + " KiB" : std::to_string(size) + " B";
}

}  // namespace

int main(int argc, char** argv) {
  weft::bench::Arguments arguments(argc, argv);
  const int peers = static_cast<int>(arguments.Integer("peers", 9, 1, 100));
  const int rounds = static_cast<int>(arguments.Integer("rounds", 5, 1, 1000));
  const double seconds = arguments.Real("seconds", 1, 0.01, 1000);
  const int outstanding = static_cast<int>(arguments.Integer("outstanding", 1, 1, 1000));
  std::istringstream sizes(arguments.Text("sizes", "32,65536,1048576"));
  const std::string only = arguments.Text("only", "");
  const int count = static_cast<int>(arguments.Integer("count", 1000, 1, 10'000'000));
  arguments.RefuseUnread();
  // Forked before this process has any thread.
  const ServerProcess servers(peers);
  const Instructions instructions;  // before any thread starts, so that it counts them all
  const Peers all(servers.ports);
  for (std::string text; std::getline(sizes, text, ',');) {
    const size_t size = std::stoul(text);
    PutRequest request;
    request.set_payload(std::string(size, 'x'));
    const auto calls = [&](auto done) { CallEach(all, request, std::move(done)); };
    const auto broadcast = [&](auto done) { BroadcastOne(all, request, std::move(done)); };
    if (!only.empty()) {
      only == "calls" ? Repeat(count, calls) : Repeat(count, broadcast);
      continue;
    }
    // Warm-up of both.
    (void)Measure(instructions, seconds / 4, outstanding, calls);
    (void)Measure(instructions, seconds / 4, outstanding, broadcast);
    std::vector<double> ratios, counted, cpu_one, cpu_calls, p50_one, p50_calls;
    for (int round = 0; round < rounds; ++round) {
      const Cost each = Measure(instructions, seconds, outstanding, calls);
      const Cost one = Measure(instructions, seconds, outstanding, broadcast);
      ratios.push_back(one.cpu / each.cpu);
      counted.push_back(each.instructions > 0 ? one.instructions / each.instructions : 0);
      cpu_one.push_back(one.cpu);
      cpu_calls.push_back(each.cpu);
      p50_one.push_back(one.p50);
      p50_calls.push_back(each.p50);
      std::printf("  round %d: %.1f us, %.1f us: %.3f; instructions %.0f, %.0f\n", round + 1,
                  one.cpu, each.cpu, ratios.back(), one.instructions, each.instructions);
    }
    std::printf(
        "%s: a broadcast %.1f us of CPU, %d calls %.1f us: ratio %.3f; instructions %.3f; p50 %.1f "
        "us, %.1f us\n",
        Named(size).c_str(), Median(cpu_one), peers, Median(cpu_calls), Median(ratios),
        Median(counted), Median(p50_one), Median(p50_calls));
    std::fflush(stdout);
  }
  return 0;
}
