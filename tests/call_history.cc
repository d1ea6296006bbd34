// Runs calls of all kinds through a network that breaks and servers that come and go, and checks
// what became of each: see tests/history/call_history.h.
//
//   call_history [--calls N] [--seed S] [--processes | --spread] [--hang-after SECONDS]
//                [--plant WHICH]
//
// The network is in memory; with --spread each call may go to any server, over links on other loops
// (tests/support/spread_target.h). With --processes servers are processes that are killed, and
// proxies that cut stand between (tests/history/process_world.h). Prints the seed first and, last,
// the number of broken rules; ends with 1 if there are any. When no call has ended for a minute it
// says which calls stand where and what every thread does, and ends with 1. A long run has to meet
// every kind of call, in every style of its caller, at every style of handler. A plant falsifies
// what the history is told, or a ledger, so that the checker can be seen to notice.
#include "tests/history/call_history.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/history/caller.h"
#include "tests/history/hang_watch.h"
#include "tests/history/ledger.h"
#include "tests/history/process_world.h"
#include "tests/history/server_process.h"
#include "tests/history/unsteady_world.h"
#include "tests/support/temp_dir.h"

namespace weft::test {
namespace {

using Plant = FalsifiedHistory::Plant;

constexpr int kCallers = 6;
// So many calls draw every kind there is many times.
constexpr size_t kLongRun = 50'000;

struct PlantName {
  const char* name;
  Plant plant;
};
constexpr PlantName kPlants[] = {
    {"double-reply", Plant::kDoubleReply},          {"lost-end", Plant::kLostEnd},
    {"executed-not-sent", Plant::kExecutedNotSent}, {"lost-message", Plant::kLostMessage},
    {"executed-twice", Plant::kExecutedTwice},      {"lost-execution", Plant::kLostExecution},
};

struct Arguments {
  size_t calls = 100'000;
  uint64_t seed = 0;
  bool processes = false;
  bool spread = false;
  int hang_after = 60;  // seconds
  // A call that hangs on purpose, so that the watch can be seen to notice.
  bool hang = false;
  std::optional<Plant> plant;
};

// All that one run has, in the order in which it is made.
class HistoryRun {
 public:
  explicit HistoryRun(const Arguments& arguments) : arguments_(arguments) {
    if (arguments_.processes) {
      // Servers do not call back to a caller in another process here: see Ledger.
      keys_ = arguments_.calls;
      auto ledger = Ledger::Open(LedgerPath(), keys_);
      if (!ledger.ok()) std::abort();
      ledger_ = *std::move(ledger);
    } else {
      // Behind the calls made here, those that their handlers make back.
      keys_ = 2 * arguments_.calls;
    }
    // One more, for a plant that hangs.
    history_ = std::make_unique<CallHistory>(keys_ + 1, ledger_.get());
    if (arguments_.plant.has_value()) falsified_.emplace(*history_, *arguments_.plant);
  }

  // Its exit code.
  int Run() {
    std::unique_ptr<CallWorld> world;
    if (arguments_.processes) {
      world = std::make_unique<ProcessWorld>(arguments_.seed, LedgerPath(), keys_);
    } else {
      world = std::make_unique<UnsteadyWorld>(
          arguments_.seed, sink(),
          arguments_.spread ? UnsteadyWorld::Targets::kSpread : UnsteadyWorld::Targets::kChannels);
    }
    {
      const HangWatch watch({.limit = std::chrono::seconds(arguments_.hang_after),
                             .progress = [this] { return history_->ended(); },
                             .report = [this, &world] { SayWhatStandsWhere(*world); }});
      MakeCalls(*world);
      settling_.store(true);
      world->Settle();
    }
    std::printf("calls: %s\nworld: %s\n", history_->Summary().c_str(), world->Summary().c_str());
    return Judge(*world);
  }

 private:
  // Servers do not call back to a caller in another process, or to one that offers nothing.
  bool CallsBack() const { return !arguments_.processes && !arguments_.spread; }
  std::string LedgerPath() const { return absl::StrCat(folder_.path(), "/ledger"); }
  HistorySink& sink() {
    return falsified_.has_value() ? static_cast<HistorySink&>(*falsified_) : *history_;
  }

  void MakeCalls(CallWorld& world) {
    Canceller canceller;
    std::vector<std::thread> threads;
    for (int i = 0; i < kCallers; ++i) {
      threads.emplace_back([&, i] {
        Caller caller(world, sink(), canceller, live_,
                      CallsBack() ? static_cast<int64_t>(arguments_.calls) : 0);
        uint64_t random = arguments_.seed + static_cast<uint64_t>(i) * 7919;
        for (size_t key = static_cast<size_t>(i); key < arguments_.calls; key += kCallers) {
          caller.Make(key, &random);
        }
        caller.WaitForAll();
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (!arguments_.hang) return;
    sink().OnStarted(keys_, {"planted", {}, false});
    std::this_thread::sleep_for(std::chrono::hours(1));
  }

  // Nothing goes on any more.
  void SayWhatStandsWhere(const CallWorld& world) {
    const std::vector<std::string> unended = history_->Unended();
    std::printf("%zu calls have not ended%s\n", unended.size(),
                settling_.load() ? "; the world is being settled" : "");
    for (const std::string& line : unended) std::printf("%s\n", line.c_str());
    std::fflush(stdout);
    if (!settling_.load()) {
      std::printf("%s", world.Links().c_str());
      std::fflush(stdout);
    }
    live_.CancelAll();
    std::this_thread::sleep_for(std::chrono::seconds(2));
    std::printf("%zu of them have not ended two seconds after they were cancelled\n",
                history_->Unended().size());
    std::fflush(stdout);
  }

  int Judge(const CallWorld& world) {
    if (ledger_ != nullptr && arguments_.plant.has_value()) {
      PlantInLedger(*arguments_.plant, *ledger_);
    }
    std::vector<std::string> violations = history_->Check();
    if (world.framing_faults() > 0) {
      violations.push_back(
          absl::StrCat(world.framing_faults(), " connections were closed for broken frames"));
    }
    if (CallsBack()) {
      const std::vector<std::string> unmet = history_->Unmet();
      std::printf("kinds of caller and handler: %zu of %zu\n", kAllKinds - unmet.size(), kAllKinds);
      if (arguments_.calls >= kLongRun) {
        violations.insert(violations.end(), unmet.begin(), unmet.end());
      }
    }
    for (size_t i = 0; i < violations.size() && i < 20; ++i) {
      std::printf("%s\n", violations[i].c_str());
    }
    std::printf("violations: %zu\n", violations.size());
    return violations.empty() ? 0 : 1;
  }

  const Arguments arguments_;
  TempDir folder_;
  size_t keys_ = 0;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<CallHistory> history_;
  std::optional<FalsifiedHistory> falsified_;
  LiveCalls live_;
  std::atomic<bool> settling_{false};
};

bool ParsePlant(const std::string& value, Arguments* arguments) {
  for (const PlantName& each : kPlants) {
    if (value == each.name) arguments->plant = each.plant;
  }
  arguments->hang = value == "hang";
  return arguments->plant.has_value() || arguments->hang;
}

bool Parse(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--processes" || name == "--spread") {
      (name == "--spread" ? arguments->spread : arguments->processes) = true;
      continue;
    }
    if (++i == argc) return false;
    const std::string value = argv[i];
    const bool known = name == "--calls"        ? absl::SimpleAtoi(value, &arguments->calls)
                       : name == "--seed"       ? absl::SimpleAtoi(value, &arguments->seed)
                       : name == "--hang-after" ? absl::SimpleAtoi(value, &arguments->hang_after)
                                                : name == "--plant" && ParsePlant(value, arguments);
    if (!known) return false;
  }
  return true;
}

// A server's process: --serve LEDGER KEYS STYLE.
int Serve(char** argv) {
  size_t keys = 0, style = 0;
  if (!absl::SimpleAtoi(argv[3], &keys) || !absl::SimpleAtoi(argv[4], &style)) return 2;
  return ServerProcess::Serve(argv[2], keys, style);
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "--serve") == 0) return weft::test::Serve(argv);
  weft::test::Arguments arguments;
  arguments.seed = std::random_device()();
  if (!weft::test::Parse(argc, argv, &arguments)) {
    std::fprintf(stderr, "see the beginning of tests/call_history.cc\n");
    return 2;
  }
  std::printf("seed: %llu\n", static_cast<unsigned long long>(arguments.seed));
  std::fflush(stdout);
  return weft::test::HistoryRun(arguments).Run();
}
