// Runs calls of all kinds through a network that breaks and servers that come and go, and checks
// what became of each: see tests/history/call_history.h.
//
//   call_history [--calls N] [--seed S] [--plant double-reply|lost-end|executed-not-sent]
//
// Prints the seed first and, last, the number of broken rules; ends with 1 if there are any. A
// plant falsifies what the history is told, so that the checker can be seen to notice.
#include "tests/history/call_history.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/history/call_plan.h"
#include "tests/history/history_services.h"
#include "tests/history/unsteady_world.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"

namespace weft::test {
namespace {

using Plant = FalsifiedHistory::Plant;

constexpr int kCallers = 6;
constexpr int kMostUnderWay = 40;  // of one caller, beside a blocking one

struct Arguments {
  size_t calls = 100'000;
  uint64_t seed = 0;
  std::optional<Plant> plant;
};

// One call, and all that has to outlive it.
struct Call {
  size_t key;
  CallPlan plan;
  EchoRequest request;
  ClientContext context;
  std::stop_source stop;

  void Cancel() {
    plan.fate == CallPlan::Fate::kStopped ? (void)stop.request_stop() : context.Cancel();
  }
};
using CallRef = std::shared_ptr<Call>;

// Cancels calls a little later, on a thread of its own: what it is given, in turn.
class Canceller {
 public:
  Canceller() : thread_([this] { Work(); }) {}
  ~Canceller() {
    queue_.Update([](Queue& q) { q.stop = true; });
    thread_.join();
  }
  void Add(CallRef call) {
    queue_.Update([&](Queue& q) { q.calls.push_back(std::move(call)); });
  }

 private:
  struct Queue {
    std::deque<CallRef> calls;
    bool stop = false;
  };
  void Work() {
    for (;;) {
      std::deque<CallRef> calls;
      bool stop = false;
      if (!queue_.WaitFor([](const Queue& q) { return q.stop || !q.calls.empty(); })) continue;
      queue_.Update([&](Queue& q) {
        calls.swap(q.calls);
        stop = q.stop;
      });
      for (const CallRef& call : calls) {
        if (call->key % 8 == 0) std::this_thread::yield();
        call->Cancel();
      }
      if (stop) return;
    }
  }

  Watched<Queue> queue_;
  std::thread thread_;
};

// Makes its share of the calls, one after the other.
class Caller {
 public:
  Caller(UnsteadyWorld& world, HistorySink& history, Canceller& canceller)
      : world_(world), history_(history), canceller_(canceller) {}

  void Make(size_t key, uint64_t* random) {
    const auto call = std::make_shared<Call>();
    call->key = key;
    call->plan = CallPlan::Drawn(random);
    const CallPlan& plan = call->plan;
    call->request.set_number(static_cast<int64_t>(key));
    call->request.set_payload(std::string(plan.bytes, static_cast<char>('a' + key % 26)));
    if (plan.fate == CallPlan::Fate::kFailing) call->request.set_text("fail");
    if (plan.fate == CallPlan::Fate::kSlow) call->request.set_text("slow");
    history_.OnStarted(key, plan.ToString(), plan.method == CallPlan::Method::kIdempotent);
    if (plan.fate == CallPlan::Fate::kStopped) call->context.CancelOn(call->stop.get_token());
    if (plan.fate == CallPlan::Fate::kCancelledFirst) call->context.Cancel();
    const bool late = NextRandomBits(random) % 2 == 0;
    if (plan.cancels() && !late) canceller_.Add(call);
    EchoService::Stub stub(world_.channel(NextRandomBits(random)));
    if (plan.style == CallPlan::Style::kBlocking) {
      Ended(*call, Block(stub, *call));
      return;
    }
    if (!under_way_.WaitFor([](int n) { return n < kMostUnderWay; })) Stuck();
    under_way_.Update([](int& n) { ++n; });
    if (plan.style == CallPlan::Style::kCallback) {
      Begin(stub, call);
    } else {
      Spawn(Await(stub, call), [](auto, auto) {});
    }
    if (plan.cancels() && late) canceller_.Add(call);
  }

  void WaitForAll() {
    if (!under_way_.WaitForValue(0)) Stuck();
  }

 private:
  // A call that does not end is the worst of violations; its memory cannot be given back.
  [[noreturn]] static void Stuck() {
    std::printf("a call has not ended for long after its deadline\nviolations: 1\n");
    std::fflush(stdout);
    std::_Exit(1);
  }

  static CallOptions OptionsOf(Call& call) {
    return {.timeout = call.plan.timeout,
            .context = &call.context,
            .wait_for_ready = call.plan.fate == CallPlan::Fate::kWaitForReady};
  }
  static absl::StatusOr<EchoReply> Block(EchoService::Stub& stub, Call& call) {
    switch (call.plan.method) {
      case CallPlan::Method::kEcho:
        return stub.Echo(call.request, OptionsOf(call));
      case CallPlan::Method::kInline:
        return stub.EchoInline(call.request, OptionsOf(call));
      case CallPlan::Method::kIdempotent:
        return stub.EchoIdempotent(call.request, OptionsOf(call));
    }
    std::abort();
  }
  void Begin(EchoService::Stub& stub, const CallRef& call) {
    Callback<EchoReply> done = [this, call](absl::StatusOr<EchoReply> result) {
      EndedLater(*call, result);
    };
    switch (call->plan.method) {
      case CallPlan::Method::kEcho:
        return stub.EchoAsync(call->request, OptionsOf(*call), std::move(done));
      case CallPlan::Method::kInline:
        return stub.EchoInlineAsync(call->request, OptionsOf(*call), std::move(done));
      case CallPlan::Method::kIdempotent:
        return stub.EchoIdempotentAsync(call->request, OptionsOf(*call), std::move(done));
    }
  }
  Coro<int> Await(EchoService::Stub stub, CallRef call) {
    switch (call->plan.method) {
      case CallPlan::Method::kEcho:
        EndedLater(*call, co_await stub.EchoCoro(call->request, OptionsOf(*call)));
        break;
      case CallPlan::Method::kInline:
        EndedLater(*call, co_await stub.EchoInlineCoro(call->request, OptionsOf(*call)));
        break;
      case CallPlan::Method::kIdempotent:
        EndedLater(*call, co_await stub.EchoIdempotentCoro(call->request, OptionsOf(*call)));
        break;
    }
    co_return 0;
  }

  // The network and the servers of this world break, stop and refuse; nothing else goes wrong.
  static bool Explained(const CallPlan& plan, absl::StatusCode code) {
    switch (code) {
      case absl::StatusCode::kOk:
      case absl::StatusCode::kAborted:
      case absl::StatusCode::kUnavailable:
      case absl::StatusCode::kDeadlineExceeded:
      case absl::StatusCode::kResourceExhausted:
        return true;
      case absl::StatusCode::kCancelled:
        return plan.cancels() || plan.fate == CallPlan::Fate::kCancelledFirst;
      default:
        return false;
    }
  }

  void EndedLater(const Call& call, const absl::StatusOr<EchoReply>& result) {
    Ended(call, result);
    under_way_.Update([](int& n) { --n; });
  }
  void Ended(const Call& call, const absl::StatusOr<EchoReply>& result) {
    CallEnding ending;
    ending.code = result.status().code();
    ending.may_have_been_executed = call.context.may_have_been_executed();
    if (result.ok()) {
      ending.matches = result->number() == call.request.number() &&
                       result->payload() == call.request.payload() &&
                       result->text() == call.request.text() &&
                       call.plan.fate != CallPlan::Fate::kFailing;
    } else if (absl::IsAborted(result.status())) {
      ending.matches = call.plan.fate == CallPlan::Fate::kFailing &&
                       result.status().message() == FailureOf(call.request.number());
    }
    if (!Explained(call.plan, ending.code)) ending.unexplained = result.status().ToString();
    history_.OnEnded(call.key, ending);
  }

  UnsteadyWorld& world_;
  HistorySink& history_;
  Canceller& canceller_;
  Watched<int> under_way_{0};
};

int Run(const Arguments& arguments) {
  std::printf("seed: %llu\n", static_cast<unsigned long long>(arguments.seed));
  std::fflush(stdout);
  CallHistory history(arguments.calls);
  std::optional<FalsifiedHistory> falsified;
  if (arguments.plant.has_value()) falsified.emplace(history, *arguments.plant);
  HistorySink& sink = falsified.has_value() ? static_cast<HistorySink&>(*falsified) : history;
  std::string world_summary;
  int64_t framing_faults = 0;
  {
    UnsteadyWorld world(arguments.seed, sink);
    {
      Canceller canceller;
      std::vector<std::thread> threads;
      for (int i = 0; i < kCallers; ++i) {
        threads.emplace_back([&, i] {
          Caller caller(world, sink, canceller);
          uint64_t random = arguments.seed + static_cast<uint64_t>(i) * 7919;
          for (size_t key = static_cast<size_t>(i); key < arguments.calls; key += kCallers) {
            caller.Make(key, &random);
          }
          caller.WaitForAll();
        });
      }
      for (std::thread& thread : threads) thread.join();
    }
    world.Settle();
    world_summary = world.Summary();
    framing_faults = world.framing_faults();
  }
  std::printf("calls: %s\nworld: %s\n", history.Summary().c_str(), world_summary.c_str());
  std::vector<std::string> violations = history.Check();
  if (framing_faults > 0) {
    violations.push_back(
        absl::StrCat(framing_faults, " connections were closed for broken frames"));
  }
  for (size_t i = 0; i < violations.size() && i < 20; ++i)
    std::printf("%s\n", violations[i].c_str());
  std::printf("violations: %zu\n", violations.size());
  return violations.empty() ? 0 : 1;
}

bool Parse(int argc, char** argv, Arguments* arguments) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--calls") {
      if (!absl::SimpleAtoi(value, &arguments->calls)) return false;
    } else if (name == "--seed") {
      if (!absl::SimpleAtoi(value, &arguments->seed)) return false;
    } else if (name == "--plant" && value == "double-reply") {
      arguments->plant = Plant::kDoubleReply;
    } else if (name == "--plant" && value == "lost-end") {
      arguments->plant = Plant::kLostEnd;
    } else if (name == "--plant" && value == "executed-not-sent") {
      arguments->plant = Plant::kExecutedNotSent;
    } else {
      return false;
    }
  }
  return argc % 2 == 1;
}

}  // namespace
}  // namespace weft::test

int main(int argc, char** argv) {
  weft::test::Arguments arguments;
  arguments.seed = std::random_device()();
  if (!weft::test::Parse(argc, argv, &arguments)) {
    std::fprintf(stderr,
                 "usage: call_history [--calls N] [--seed S] "
                 "[--plant double-reply|lost-end|executed-not-sent]\n");
    return 2;
  }
  return weft::test::Run(arguments);
}
