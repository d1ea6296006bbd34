// How a server fares at three times the load that it can carry. A server and its clients in one
// process, over loopback.
//
// The handler uses 200 µs of CPU time. Half of the machine's cores are its workers (one at least),
// so that the clients and the I/O threads have cores of their own, and what is measured is the
// server's doing, not the scheduler's. Every call has a deadline of 50 ms; an answer is useful when
// it is OK and the client has it by then.
//
//   best       so many calls a second are answered while few are outstanding: the number of those
//   is
//              tried out first. Measured before and after each round of 3x
//   3x         three times as many are sent, paced by time and not by answers, at an even rate;
//   what
//              is useful of them, a second. A of a round is that over the mean of the two best
//              beside it; the line has the median of the rounds
//   S          CPU time of all threads of the server (kernel included) over best, for each call
//   R          CPU time of its I/O threads for each refused call, while it refuses everything:
//   calls
//              that compute and do not end hold all workers and all places, as at 3x, and twice the
//              best rate is sent, which is what it refuses at 3x. B is R / S
//
// The server's threads are told from the clients' by which were there before it started, and
// workers by their names; their CPU time is the kernel's (/proc/self/task/*/schedstat). The I/O
// threads do not poll (spin is zero): waiting would count as work.
//
//   overload [--seconds <of a phase>] [--rounds <n>]
//
// The last line: "useful at 3x: A of best, refusal cost: B of a served call".
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/median.h"
#include "bench/overload.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace {

using weft::bench::Median;
using weft::bench::Work;
using weft::bench::WorkReply;
using weft::bench::WorkRequest;
using SteadyClock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr uint32_t kWorkMicros = 200;
constexpr absl::Duration kDeadline = absl::Milliseconds(50);
constexpr int kChannels = 4;
constexpr auto kTick = std::chrono::microseconds(250);

// ---- The server

class Worker final : public Work::Service {
 public:
  absl::Status Do(weft::ServerContext& call, WorkRequest& request, WorkReply&) override {
    if (request.hold()) {
      holding.fetch_add(1);
      while (!release.load() && !call.cancelled()) {
      }
      return absl::OkStatus();
    }
    const int64_t end = ThreadCpu() + int64_t{request.micros()} * 1000;
    while (ThreadCpu() < end) {
    }
    return absl::OkStatus();
  }
  std::atomic<int> holding{0};
  std::atomic<bool> release{false};

 private:
  static int64_t ThreadCpu() {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
  }
};

std::set<std::string> Threads() {
  std::set<std::string> tasks;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    tasks.insert(task.path().filename().string());
  }
  return tasks;
}

// A server and what its threads cost.
class Measured {
 public:
  Measured(Worker& worker, const weft::OverloadOptions& overload, int threads)
      : server_({.worker_threads = threads, .spin = absl::ZeroDuration(), .overload = overload}) {
    const std::set<std::string> before = Threads();
    absl::Status s = server_.Register(worker);
    if (s.ok()) s = server_.Start("127.0.0.1:0");
    if (!s.ok()) {
      std::fprintf(stderr, "overload: %s\n", s.ToString().c_str());
      std::exit(1);
    }
    for (const std::string& task : Threads()) {
      if (before.count(task) > 0) continue;
      std::string name;
      std::ifstream("/proc/self/task/" + task + "/comm") >> name;
      (name.rfind("weft-work", 0) == 0 ? workers_ : others_)
          .push_back("/proc/self/task/" + task + "/schedstat");
    }
  }

  std::string target() const { return server_.addresses().at(0); }
  // CPU time of its threads so far.
  double WorkersCpu() const { return CpuSeconds(workers_); }
  double OthersCpu() const { return CpuSeconds(others_); }

 private:
  static double CpuSeconds(const std::vector<std::string>& tasks) {
    double sum = 0;
    for (const std::string& task : tasks) {
      double nanos = 0;
      std::ifstream(task) >> nanos;
      sum += nanos * 1e-9;
    }
    return sum;
  }

  weft::Server server_;
  std::vector<std::string> workers_, others_;
};

// ---- The clients

struct Outcome {
  int64_t sent = 0, useful = 0, refused = 0, late = 0, other = 0;
  double seconds = 0;
  double workers_cpu = 0, others_cpu = 0;  // of the server

  int64_t ended() const { return useful + refused + late + other; }
  double useful_rate() const { return static_cast<double>(useful) / seconds; }
};

// Counts ends; all callbacks run on the clients' one I/O thread.
struct Counters {
  std::atomic<int64_t> sent{0}, useful{0}, refused{0}, late{0}, other{0};

  void Add(const absl::Status& status) {
    std::atomic<int64_t>& count = status.ok()                         ? useful
                                  : absl::IsResourceExhausted(status) ? refused
                                  : absl::IsDeadlineExceeded(status)  ? late
                                                                      : other;
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (&count == &other) std::fprintf(stderr, "overload: %s\n", status.ToString().c_str());
  }
  Outcome Read() const {
    Outcome all;
    all.sent = sent.load();
    all.useful = useful.load();
    all.refused = refused.load();
    all.late = late.load();
    all.other = other.load();
    return all;
  }
  bool AllEnded() const { return Read().ended() == sent.load(); }
};

class Clients {
 public:
  explicit Clients(const Measured& server) : server_(server) {
    absl::StatusOr<std::shared_ptr<weft::Runtime>> runtime = weft::Runtime::Create();
    for (int i = 0; i < kChannels && runtime.ok(); ++i) {
      auto channel = weft::Channel::Create(server.target(), {.runtime = *runtime});
      if (!channel.ok()) break;
      channels_.push_back(*std::move(channel));
      stubs_.push_back(std::make_unique<Work::Stub>(*channels_.back()));
    }
    if (stubs_.size() < kChannels) {
      std::fprintf(stderr, "overload: no channel to %s\n", server.target().c_str());
      std::exit(1);
    }
    work_.set_micros(kWorkMicros);
  }

  // Keeps `outstanding` calls under way; what ended in the second part of the time.
  Outcome Closed(int outstanding, Seconds time) {
    std::atomic<bool> stop{false};
    for (int i = 0; i < outstanding; ++i)
      Chain(stubs_[static_cast<size_t>(i) % kChannels].get(), &stop);
    const Outcome outcome = Watch(time);
    stop.store(true);
    WaitForEnds();
    return outcome;
  }

  // Sends `rate` calls a second, whatever becomes of them.
  Outcome Open(double rate, Seconds time) {
    std::atomic<bool> stop{false};
    std::thread pacer([&] { Pace(rate, stop); });
    const Outcome outcome = Watch(time);
    stop.store(true);
    pacer.join();
    WaitForEnds();
    return outcome;
  }

  // A call that ends with `worker.release`; it runs when this returns.
  void Hold(Worker& worker) {
    const int before = worker.holding.load();
    WorkRequest hold;
    hold.set_hold(true);
    stubs_[0]->DoAsync(hold, {.timeout = absl::InfiniteDuration()},
                       [](absl::StatusOr<WorkReply>) {});
    while (worker.holding.load() == before)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

 private:
  void WaitForEnds() const {
    while (!counters_.AllEnded()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  void Chain(Work::Stub* stub, const std::atomic<bool>* stop) {
    counters_.sent.fetch_add(1);
    stub->DoAsync(work_, {.timeout = kDeadline},
                  [this, stub, stop](absl::StatusOr<WorkReply> reply) {
                    const bool go_on = !stop->load();
                    if (go_on) Chain(stub, stop);
                    counters_.Add(reply.status());  // last: whoever waits for the ends may go on
                  });
  }

  void Pace(double rate, const std::atomic<bool>& stop) {
    ::prctl(PR_SET_TIMERSLACK, 1000);
    const auto begin = SteadyClock::now();
    int64_t sent = 0;
    for (auto wake = begin; !stop.load(); wake += kTick) {
      std::this_thread::sleep_until(wake);
      const auto due = static_cast<int64_t>(rate * Seconds(SteadyClock::now() - begin).count());
      for (; sent < due; ++sent) {
        counters_.sent.fetch_add(1);
        stubs_[static_cast<size_t>(sent) % kChannels]->DoAsync(
            work_, {.timeout = kDeadline},
            [this](absl::StatusOr<WorkReply> reply) { counters_.Add(reply.status()); });
      }
    }
  }

  // Lets a third of `time` pass, then counts for `time`.
  Outcome Watch(Seconds time) const {
    std::this_thread::sleep_for(time / 3);
    const Outcome before = counters_.Read();
    const double workers = server_.WorkersCpu();
    const double others = server_.OthersCpu();
    const auto begin = SteadyClock::now();
    std::this_thread::sleep_for(time);
    const Outcome after = counters_.Read();
    Outcome in;
    in.seconds = Seconds(SteadyClock::now() - begin).count();
    in.workers_cpu = server_.WorkersCpu() - workers;
    in.others_cpu = server_.OthersCpu() - others;
    in.sent = after.sent - before.sent;
    in.useful = after.useful - before.useful;
    in.refused = after.refused - before.refused;
    in.late = after.late - before.late;
    in.other = after.other - before.other;
    return in;
  }

  const Measured& server_;
  std::vector<std::unique_ptr<weft::Channel>> channels_;
  std::vector<std::unique_ptr<Work::Stub>> stubs_;
  WorkRequest work_;
  Counters counters_;
};

void Print(const char* what, const Outcome& o) {
  const auto rate = [&o](double n) { return n / o.seconds; };
  std::printf(
      "%-8s %6.0f sent/s %6.0f useful/s %6.0f refused/s %5.0f late/s; CPU: workers %.2f, I/O "
      "%.2f\n",
      what, rate(static_cast<double>(o.sent)), o.useful_rate(),
      rate(static_cast<double>(o.refused)), rate(static_cast<double>(o.late)), rate(o.workers_cpu),
      rate(o.others_cpu));
  std::fflush(stdout);
}

double PerCall(double cpu, int64_t calls) {
  return cpu / static_cast<double>(std::max<int64_t>(1, calls));
}

// The CPU time of a refused call, in seconds: every place is held, and `rate` calls a second come.
double RefusalCost(int threads, double rate, Seconds time) {
  Worker worker;
  Measured server(
      worker, {.adaptive = true, .min_adaptive_calls = 1, .max_adaptive_calls = 1, .shed = true},
      threads);
  Clients clients(server);
  for (int i = 0; i < threads; ++i) clients.Hold(worker);
  const Outcome outcome = clients.Open(rate, time);
  Print("refusing", outcome);
  if (outcome.useful + outcome.late + outcome.other > 0) {
    std::printf("overload: not everything was refused\n");
  }
  worker.release.store(true);
  return PerCall(outcome.others_cpu, outcome.refused);
}

struct Arguments {
  double seconds = 1.0;
  int rounds = 5;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--seconds") == 0) arguments.seconds = std::atof(argv[i + 1]);
    if (std::strcmp(argv[i], "--rounds") == 0) arguments.rounds = std::atoi(argv[i + 1]);
  }
  if (argc % 2 == 0 || arguments.seconds <= 0 || arguments.rounds < 1) {
    std::fprintf(stderr, "usage: overload [--seconds <of a phase>] [--rounds <n>]\n");
    std::exit(2);
  }
  return arguments;
}

// How many outstanding calls give the most answers.
int BestOutstanding(Clients& clients, int threads, Seconds time) {
  int best = 0;
  double most = -1;
  for (const int each : {2, 4, 8}) {
    const Outcome outcome = clients.Closed(each * threads, time);
    if (outcome.useful_rate() > most) {
      most = outcome.useful_rate();
      best = each * threads;
    }
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = Parse(argc, argv);
  const Seconds time(arguments.seconds);
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
  std::vector<double> ratios, served_costs;
  double best_rate = 0;
  {
    Worker worker;
    Measured server(worker, {.adaptive = true, .shed = true}, threads);
    Clients clients(server);
    const int outstanding = BestOutstanding(clients, threads, time / 4);
    std::printf("%d workers, %u us of CPU a call, %d calls outstanding at best\n", threads,
                kWorkMicros, outstanding);
    Outcome before = clients.Closed(outstanding, time);
    Print("best", before);
    for (int round = 0; round < arguments.rounds; ++round) {
      const Outcome loaded = clients.Open(3 * before.useful_rate(), time);
      Print("3x", loaded);
      const Outcome after = clients.Closed(outstanding, time);
      Print("best", after);
      const double best = std::max(1.0, (before.useful_rate() + after.useful_rate()) / 2);
      ratios.push_back(loaded.useful_rate() / best);
      served_costs.push_back(PerCall(after.workers_cpu + after.others_cpu, after.useful));
      best_rate = std::max(best_rate, best);
      before = after;
    }
  }
  const double refused = RefusalCost(threads, 2 * best_rate, time);
  const double served = Median(served_costs);
  std::printf("server CPU: %.1f us a served call, %.2f us a refused one\n", served * 1e6,
              refused * 1e6);
  std::printf("useful at 3x: %.3f of best, refusal cost: %.4f of a served call\n", Median(ratios),
              served > 0 ? refused / served : 0.0);
  return 0;
}
