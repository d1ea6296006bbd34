// The demo: three nodes of a replicated store, each a process; clients that write and read; a
// leader that is killed and comes back with an empty memory; and every acknowledged write read back
// from every node. Exits with 1 if a write is lost, or anything else is not as it should be.
//
//   --seconds N   of load; default 9
//   --every-node  kills each node in turn, and not only the leader
//   --hard        the leader loses its memory while one node hangs and lacks later writes, and the
//                 other one hangs once that is back: no node may answer for a while
//   --no-quorum   nodes answer writes before they send them to the others: some are lost
//   --forgetful   returning nodes ignore that they have lost their memory: with --every-node all
//                 earlier writes are lost, with --hard some are
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "children.h"
#include "kv.weft.h"
#include "ledger.h"
#include "load.h"
#include "read_back.h"
#include "weft/rpc/channel.h"

namespace weft::examples::kv {
namespace {

struct DemoOptions {
  int seconds = 9;
  bool every_node = false;
  bool hard = false;
  bool no_quorum = false;
  bool forgetful = false;
};

// The course of the demo, on the main thread. The nodes are processes (Children); the clients' load
// runs on threads of its own (Load). Fail ends the program, and prints the nodes' logs first.
class Demo {
 public:
  Demo(DemoOptions options, Children& children) : options_(options), children_(children) {}

  int Run();

 private:
  // Between two lines of the table.
  static constexpr absl::Duration kTick = absl::Milliseconds(500);
  // Patience for steps that take a fraction of a second on an idle machine.
  static constexpr absl::Duration kPatience = absl::Seconds(30);
  // Time until the others have given a hanging node up for so long that it lacks writes.
  static constexpr absl::Duration kLost = absl::Seconds(5);

  [[noreturn]] void Fail(std::string_view what);
  void Start(const std::string& name, bool first);
  void Connect();
  absl::StatusOr<StatusReply> StatusOf(size_t node);
  std::string Leader();
  size_t NumberOf(const std::string& name) const { return static_cast<size_t>(name[0] - 'a'); }
  // Waits until the node is whole and sees `up` others up.
  void WaitUntilWhole(size_t node, int up);
  // Writes through this node: its last answer before it dies.
  void WriteBy(size_t node);
  void RunFor(absl::Duration time, Load& load);
  void Say(std::string_view what);
  void Line(const MethodStatsSnapshot& writes, const MethodStatsSnapshot& reads, double seconds);
  // True if the process runs and does not hang.
  bool Answers(const std::string& name);
  void Hang(const std::string& name, bool hangs);
  void Return(const std::string& name);
  void SayWhole(const std::string& name, absl::Time since);
  void KillAndReturn(const std::string& name, absl::Duration down, Load& load);
  void LoseMemoryBetween(const std::string& behind, const std::string& leader,
                         const std::string& other, Load& load);
  void PrintTable();
  int PrintReadBack(const Load& load);

  const DemoOptions options_;
  Children& children_;
  const std::vector<std::string> names_ = {"a", "b", "c"};
  std::shared_ptr<Runtime> runtime_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<Store::Stub> stores_;
  Ledger ledger_;
  absl::Time begin_;
  MethodStatsSnapshot writes_before_, reads_before_;
  std::string returned_, hanging_;
};

void Demo::Fail(std::string_view what) {
  children_.PrintLogs();
  std::fprintf(stderr, "kv_demo: %.*s\n", static_cast<int>(what.size()), what.data());
  children_.Sweep();
  std::exit(1);
}

void Demo::Start(const std::string& name, bool first) {
  std::string members;
  for (const std::string& each : names_) {
    absl::StrAppend(&members, members.empty() ? "" : ",", each, "=unix:", children_.folder(), "/",
                    each);
  }
  const std::string program =
      // The node's program lies beside this one, wherever the demo was built.
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "kv_node";
  std::vector<std::string> command = {program, "--name", name, "--members", members};
  if (first) command.emplace_back("--first");
  if (options_.no_quorum) command.emplace_back("--no-quorum");
  // A first start has lost nothing, so it has nothing to ignore.
  if (options_.forgetful && !first) command.emplace_back("--forgetful");
  children_.Start(name, command);
}

void Demo::Connect() {
  auto runtime = Runtime::Create({});
  if (!runtime.ok()) Fail(runtime.status().ToString());
  runtime_ = *std::move(runtime);
  for (const std::string& name : names_) {
    ChannelOptions options;
    options.runtime = runtime_;
    // Nodes come back within a second: a client must not still be pausing then.
    options.max_backoff = absl::Milliseconds(100);
    auto channel = Channel::Create(absl::StrCat("unix:", children_.folder(), "/", name), options);
    if (!channel.ok()) Fail(channel.status().ToString());
    channels_.push_back(*std::move(channel));
    stores_.emplace_back(*channels_.back());
  }
}

absl::StatusOr<StatusReply> Demo::StatusOf(size_t node) {
  // Short: a node that hangs must not hold up the table for the channel's 10 seconds.
  return stores_[node].Status(StatusRequest(), {.timeout = absl::Seconds(1)});
}

std::string Demo::Leader() {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!Answers(names_[i])) continue;
    const absl::StatusOr<StatusReply> status = StatusOf(i);
    if (status.ok() && status->memory() == "whole" && !status->leader().empty()) {
      return status->leader();
    }
  }
  return "-";
}

void Demo::WaitUntilWhole(size_t node, int up) {
  const absl::Time until = absl::Now() + kPatience;
  absl::StatusOr<StatusReply> status;
  while (absl::Now() < until) {
    status = StatusOf(node);
    if (status.ok() && status->memory() == "whole" && status->up_size() >= up) return;
    if (!children_.Runs(names_[node])) Fail(absl::StrCat("node ", names_[node], " has ended"));
    absl::SleepFor(absl::Milliseconds(5));
  }
  Fail(absl::StrCat("node ", names_[node], " is not whole after ", absl::FormatDuration(kPatience),
                    ": ", status.ok() ? status->memory() : status.status().ToString()));
}

void Demo::Say(std::string_view what) {
  std::printf("%5.1f s   %.*s\n", absl::ToDoubleSeconds(absl::Now() - begin_),
              static_cast<int>(what.size()), what.data());
  std::fflush(stdout);
}

// Calls between two snapshots of the same counters.
MethodStatsSnapshot Between(const MethodStatsSnapshot& before, MethodStatsSnapshot after) {
  if (before.calls == 0) return after;
  after.calls -= before.calls;
  for (size_t i = 0; i < after.by_code.size(); ++i) after.by_code[i] -= before.by_code[i];
  for (size_t i = 0; i < before.latency.size(); ++i) after.latency[i] -= before.latency[i];
  return after;
}

void Demo::Line(const MethodStatsSnapshot& writes, const MethodStatsSnapshot& reads,
                double seconds) {
  std::printf("%5.1f s %9.0f %8.0f %8.2f %8.2f %7lld %7s ",
              absl::ToDoubleSeconds(absl::Now() - begin_),
              static_cast<double>(writes.calls - writes.errors()) / seconds,
              static_cast<double>(reads.calls - reads.errors()) / seconds,
              static_cast<double>(writes.Quantile(0.5).count()) / 1e6,
              static_cast<double>(writes.Quantile(0.99).count()) / 1e6,
              static_cast<long long>(writes.errors() + reads.errors()), Leader().c_str());
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!Answers(names_[i])) {
      std::printf("   %-14s", children_.Runs(names_[i]) ? "hangs" : "down");
      continue;
    }
    const absl::StatusOr<StatusReply> status = StatusOf(i);
    std::printf("   %-7s %6lld", status.ok() ? status->memory().c_str() : "?",
                status.ok() ? static_cast<long long>(status->keys()) : 0);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void Demo::WriteBy(size_t node) {
  WriteRequest request;
  request.set_key("last words");
  // Noted before the call: a write whose answer is lost may stand, and is not counted as
  // acknowledged.
  const int64_t number = ledger_.Begin(request.key());
  request.set_value(Ledger::ValueOf(number));
  if (stores_[node].Write(request, {.timeout = absl::Seconds(1)}).ok()) {
    ledger_.Acknowledge(request.key(), number);
  }
}

void Demo::RunFor(absl::Duration time, Load& load) {
  const absl::Time until = absl::Now() + time;
  for (absl::Time now = absl::Now(); now < until;) {
    absl::SleepFor(std::min(kTick, until - now));
    const double seconds = absl::ToDoubleSeconds(absl::Now() - now);
    MethodStatsSnapshot writes = load.writes(), reads = load.reads();
    Line(Between(writes_before_, writes), Between(reads_before_, reads), seconds);
    writes_before_ = std::move(writes);
    reads_before_ = std::move(reads);
    now = absl::Now();
  }
}

bool Demo::Answers(const std::string& name) {
  return hanging_.find(name) == std::string::npos && children_.Runs(name);
}

void Demo::Hang(const std::string& name, bool hangs) {
  children_.Signal(name, hangs ? SIGSTOP : SIGCONT);
  if (hangs) {
    hanging_ += name;
  } else {
    hanging_.erase(hanging_.find(name), name.size());
  }
  Say(absl::StrCat("---- ", name, hangs ? " hangs (SIGSTOP)" : " goes on (SIGCONT)"));
}

void Demo::Return(const std::string& name) {
  Start(name, /*first=*/false);
  Say(absl::StrCat("---- ", name, " is started again, with nothing in its memory"));
  returned_ += name;
}

void Demo::SayWhole(const std::string& name, absl::Time since) {
  // One other node is enough for a majority; the third one may hang.
  WaitUntilWhole(NumberOf(name), 1);
  Say(absl::StrCat("---- ", name, " may answer after ",
                   absl::ToInt64Milliseconds(absl::Now() - since), " ms"));
}

void Demo::KillAndReturn(const std::string& name, absl::Duration down, Load& load) {
  WriteBy(NumberOf(name));
  children_.Kill(name);
  Say(absl::StrCat("---- kill -9 ", name));
  RunFor(down, load);
  const absl::Time begin = absl::Now();
  Return(name);
  SayWhole(name, begin);
}

void Demo::LoseMemoryBetween(const std::string& behind, const std::string& leader,
                             const std::string& other, Load& load) {
  Hang(behind, true);
  RunFor(kLost, load);
  WriteBy(NumberOf(leader));
  children_.Kill(leader);
  Say(absl::StrCat("---- kill -9 ", leader));
  // Now nobody is left who knows the latest writes and answers: the returning node must not answer
  // either.
  Hang(other, true);
  const absl::Time begin = absl::Now();
  Return(leader);
  Hang(behind, false);
  RunFor(absl::Seconds(2), load);
  Hang(other, false);
  SayWhole(leader, begin);
}

void Demo::PrintTable() {
  std::printf(
      "\nnode   memory    keys   writes led: one round   two rounds    reads   written back   "
      "refused   from streams\n");
  for (size_t i = 0; i < names_.size(); ++i) {
    const absl::StatusOr<StatusReply> s = StatusOf(i);
    if (!s.ok()) Fail(absl::StrCat("node ", names_[i], ": ", s.status().ToString()));
    std::printf("%-6s %-7s %6lld %23lld %12lld %8lld %14lld %9lld %14lld\n", names_[i].c_str(),
                s->memory().c_str(), static_cast<long long>(s->keys()),
                static_cast<long long>(s->writes_in_one_round()),
                static_cast<long long>(s->writes_in_two_rounds()),
                static_cast<long long>(s->reads()), static_cast<long long>(s->reads_written_back()),
                static_cast<long long>(s->refused()), static_cast<long long>(s->repaired()));
  }
}

int Demo::PrintReadBack(const Load& load) {
  const absl::Time begin = absl::Now();
  const ReadBack back = ReadBack::Of(ledger_, stores_);
  std::printf("\nEvery acknowledged write read back from every node, in %.1f s:\n",
              absl::ToDoubleSeconds(absl::Now() - begin));
  for (size_t i = 0; i < names_.size(); ++i) {
    std::printf("  %s%s: %lld lost, %lld unread\n", names_[i].c_str(),
                returned_.find(names_[i]) != std::string::npos ? ", which came back" : "",
                static_cast<long long>(back.nodes[i].lost),
                static_cast<long long>(back.nodes[i].unread));
  }
  if (!back.first_error.empty()) std::printf("  an error: %s\n", back.first_error.c_str());
  std::printf("reads under load that found something older: %lld of %lld\n",
              static_cast<long long>(load.stale()), static_cast<long long>(load.reads().calls));
  std::printf("lost writes: %lld of %lld\n", static_cast<long long>(back.lost),
              static_cast<long long>(ledger_.acknowledged()));
  const bool good =
      back.lost == 0 && back.unread == 0 && load.stale() == 0 && ledger_.acknowledged() > 0;
  return good ? 0 : 1;
}

int Demo::Run() {
  for (const std::string& name : names_) Start(name, /*first=*/true);
  Connect();
  for (size_t i = 0; i < names_.size(); ++i) WaitUntilWhole(i, 2);
  std::printf(
      "Three nodes are up, each a process. %zu threads write and %zu read, by any node; what is"
      "\nacknowledged stands at %s.\n\n"
      " time     writes/s  reads/s   p50 ms   p99 ms  failed  leader    a: keys          b         "
      "       c\n",
      Load::kWriters, Load::kReaders, options_.no_quorum ? "one node (--no-quorum)" : "a majority");
  begin_ = absl::Now();
  const absl::Duration all = absl::Seconds(options_.seconds);
  Load load(stores_, ledger_);
  load.Start();
  RunFor(all * 0.3, load);
  const std::string leader = Leader();
  if (leader == "-") Fail("no node leads");
  Say(absl::StrCat("---- ", leader, " is the leader"));
  const size_t first = NumberOf(leader);
  if (options_.hard) {
    LoseMemoryBetween(names_[(first + 2) % 3], leader, names_[(first + 1) % 3], load);
    RunFor(all * 0.3, load);
  } else if (options_.every_node) {
    for (size_t i = 0; i < names_.size(); ++i) {
      const size_t victim = (first + i) % names_.size();
      KillAndReturn(names_[victim], all * 0.1, load);
      RunFor(all * 0.1, load);
    }
  } else {
    KillAndReturn(leader, all * 0.3, load);
    RunFor(all * 0.4, load);
  }
  load.Stop();
  for (const std::string& name : names_) {
    // A node that crashed would look like one that is down, and lose nothing in the count.
    if (!children_.Runs(name)) Fail(absl::StrCat("node ", name, " has ended by itself"));
  }
  PrintTable();
  return PrintReadBack(load);
}

DemoOptions OptionsOf(int argc, char** argv) {
  DemoOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--every-node") {
      options.every_node = true;
    } else if (name == "--hard") {
      options.hard = true;
    } else if (name == "--no-quorum") {
      options.no_quorum = true;
    } else if (name == "--forgetful") {
      options.forgetful = true;
    } else if (name != "--seconds" || i + 1 == argc ||
               !absl::SimpleAtoi(argv[++i], &options.seconds) || options.seconds < 1) {
      std::fprintf(stderr, "kv_demo: does not understand %s\n", argv[i]);
      std::exit(1);
    }
  }
  return options;
}

}  // namespace
}  // namespace weft::examples::kv

int main(int argc, char** argv) {
  using weft::examples::kv::Children;
  const weft::examples::kv::DemoOptions options = weft::examples::kv::OptionsOf(argc, argv);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int each : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, each);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Children children;
  // A thread that waits for the signals, since a handler could neither lock nor kill children
  // safely.
  std::thread([&children, signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    children.Sweep();
    _exit(128 + signal);
  }).detach();
  const int result = weft::examples::kv::Demo(options, children).Run();
  children.Sweep();
  std::fflush(stdout);
  _exit(result);  // no destructors: the thread above still refers to the children
}
