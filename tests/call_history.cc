// Runs calls of all kinds through a network that breaks and servers that come and go, and checks
// what became of each: see tests/history/call_history.h.
//
//   call_history [--calls N] [--seed S]
//                [--plant double-reply|lost-end|executed-not-sent|lost-message]
//
// Prints the seed first and, last, the number of broken rules; ends with 1 if there are any. A long
// run has to meet every kind of call, in every style of its caller, at every style of handler. A
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
#include "tests/history/stream_caller.h"
#include "tests/history/unsteady_world.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"

namespace weft::test {
namespace {

using Plant = FalsifiedHistory::Plant;

constexpr int kCallers = 6;
// So many calls draw every kind there is many times.
constexpr size_t kLongRun = 50'000;
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
  // `first_back`: the key of the first call's call back.
  Caller(UnsteadyWorld& world, HistorySink& history, Canceller& canceller, int64_t first_back)
      : world_(world), history_(history), canceller_(canceller), first_back_(first_back) {}

  void Make(size_t key, uint64_t* random) {
    const auto call = std::make_shared<Call>();
    call->key = key;
    call->plan = CallPlan::Drawn(random);
    const CallPlan& plan = call->plan;
    call->request.set_number(static_cast<int64_t>(key));
    call->request.set_payload(std::string(plan.bytes, static_cast<char>('a' + key % 26)));
    if (plan.fate == CallPlan::Fate::kFailing) call->request.set_text("fail");
    if (plan.fate == CallPlan::Fate::kSlow) call->request.set_text("slow");
    if (plan.fate == CallPlan::Fate::kCallsBack) {
      call->request.add_words(absl::StrCat(first_back_ + static_cast<int64_t>(key)));
    }
    history_.OnStarted(
        key,
        {plan.ToString(), {plan.method, plan.style}, plan.method == CallPlan::Method::kIdempotent});
    if (plan.fate == CallPlan::Fate::kStopped) call->context.CancelOn(call->stop.get_token());
    if (plan.fate == CallPlan::Fate::kCancelledFirst) call->context.Cancel();
    const bool late = NextRandomBits(random) % 2 == 0;
    if (plan.cancels() && !late) canceller_.Add(call);
    Channel& channel = world_.channel(NextRandomBits(random));
    EchoService::Stub stub(channel);
    std::shared_ptr<StreamCaller> stream;
    if (plan.streams()) {
      stream =
          std::make_shared<StreamCaller>(Rows::Stub(channel), StreamOf(*call), OptionsOf(*call));
    }
    if (plan.style == CallPlan::Style::kBlocking) {
      stream != nullptr ? Ended(*call, stream->Block()) : Ended(*call, Block(stub, *call));
      return;
    }
    if (!under_way_.WaitFor([](int n) { return n < kMostUnderWay; })) Stuck();
    under_way_.Update([](int& n) { ++n; });
    if (stream != nullptr) {
      Begin(*stream, call);
    } else if (plan.style == CallPlan::Style::kCallback) {
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
      default:
        std::abort();
    }
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
      default:
        std::abort();
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
      default:
        std::abort();
    }
    co_return 0;
  }

  // What becomes of a stream, by the fate of its call.
  StreamCaller::Wishes StreamOf(const Call& call) const {
    using Fate = CallPlan::Fate;
    using Kind = StreamCaller::Kind;
    using Midway = StreamCaller::Midway;
    using Order = StreamScript::Order;
    const CallPlan& plan = call.plan;
    StreamCaller::Wishes wishes;
    wishes.kind = plan.method == CallPlan::Method::kAdd    ? Kind::kAdd
                  : plan.method == CallPlan::Method::kList ? Kind::kList
                                                           : Kind::kTalk;
    wishes.midway = static_cast<int64_t>(plan.midway);
    StreamScript& script = wishes.script;
    script.key = static_cast<int64_t>(call.key);
    script.order = static_cast<Order>(plan.order);
    script.requests = wishes.kind == Kind::kList ? 0 : static_cast<int64_t>(plan.messages);
    script.replies = wishes.kind == Kind::kAdd ? 0 : static_cast<int64_t>(plan.messages);
    script.bytes = static_cast<int64_t>(plan.bytes);
    script.slow = wishes.slow = plan.fate == Fate::kSlow;
    if (plan.fate == Fate::kFailing || plan.fate == Fate::kEndedEarly) {
      script.end_after = wishes.midway;
      script.fails = plan.fate == Fate::kFailing;
    } else if (plan.fate == Fate::kCancelledMidway) {
      wishes.at_midway = Midway::kCancel;
    } else if (plan.fate == Fate::kDropped) {
      wishes.at_midway = Midway::kDrop;
      script.order = Order::kInTurn;  // it writes and reads in turn, too
    } else if (plan.fate == Fate::kLeftUnread) {
      wishes.at_midway = Midway::kFinish;
      wishes.midway += 1;
      script.order = Order::kRepliesFirst;
      script.requests = 0;
    } else if (plan.fate == Fate::kCallsBack) {
      script.call_back = first_back_ + script.key;
    }
    return wishes;
  }
  void Begin(StreamCaller& stream, const CallRef& call) {
    const auto done = [this, call](const StreamOutcome& outcome) { EndedLater(*call, outcome); };
    call->plan.style == CallPlan::Style::kCallback ? stream.BeginCallbacks(done)
                                                   : stream.BeginCoroutines(done);
  }

  // The network and the servers of this world break, stop and refuse; nothing else goes wrong.
  static bool Explained(const CallPlan& plan, absl::StatusCode code) {
    switch (code) {
      case absl::StatusCode::kOk:
      case absl::StatusCode::kAborted:
      case absl::StatusCode::kUnavailable:
      case absl::StatusCode::kResourceExhausted:
        return true;
      case absl::StatusCode::kDeadlineExceeded:
        return plan.fate == CallPlan::Fate::kShort;
      case absl::StatusCode::kCancelled:
        return plan.may_be_cancelled();
      default:
        return false;
    }
  }

  template <typename Result>
  void EndedLater(const Call& call, const Result& result) {
    Ended(call, result);
    under_way_.Update([](int& n) { --n; });
  }
  void Ended(const Call& call, const absl::StatusOr<EchoReply>& result) {
    CallEnding ending = EndingOf(call, result.status());
    if (result.ok()) {
      ending.matches = result->number() == call.request.number() &&
                       result->payload() == call.request.payload() &&
                       result->text() == call.request.text() &&
                       call.plan.fate != CallPlan::Fate::kFailing;
    }
    history_.OnEnded(call.key, ending);
  }
  void Ended(const Call& call, const StreamOutcome& outcome) {
    CallEnding ending = EndingOf(call, outcome.status);
    // Of one that was dropped nobody hears more.
    if (outcome.dropped) ending.may_have_been_executed = true;
    ending.matches &= outcome.matches;
    ending.stream = outcome.tally;
    history_.OnEnded(call.key, ending);
  }
  static CallEnding EndingOf(const Call& call, const absl::Status& status) {
    CallEnding ending;
    ending.code = status.code();
    ending.may_have_been_executed = call.context.may_have_been_executed();
    if (absl::IsAborted(status)) {
      ending.matches = call.plan.fate == CallPlan::Fate::kFailing &&
                       status.message() == FailureOf(static_cast<int64_t>(call.key));
    }
    if (!Explained(call.plan, ending.code)) ending.unexplained = status.ToString();
    return ending;
  }

  UnsteadyWorld& world_;
  HistorySink& history_;
  Canceller& canceller_;
  const int64_t first_back_;
  Watched<int> under_way_{0};
};

int Run(const Arguments& arguments) {
  std::printf("seed: %llu\n", static_cast<unsigned long long>(arguments.seed));
  std::fflush(stdout);
  // Behind the calls made here, those that their handlers make back.
  CallHistory history(2 * arguments.calls);
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
          Caller caller(world, sink, canceller, static_cast<int64_t>(arguments.calls));
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
  const std::vector<std::string> unmet = history.Unmet();
  std::printf("kinds of caller and handler: %zu of %zu\n", kAllKinds - unmet.size(), kAllKinds);
  if (arguments.calls >= kLongRun) {
    violations.insert(violations.end(), unmet.begin(), unmet.end());
  }
  for (size_t i = 0; i < violations.size() && i < 20; ++i) {
    std::printf("%s\n", violations[i].c_str());
  }
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
    } else if (name == "--plant" && value == "lost-message") {
      arguments->plant = Plant::kLostMessage;
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
                 "[--plant double-reply|lost-end|executed-not-sent|lost-message]\n");
    return 2;
  }
  return weft::test::Run(arguments);
}
