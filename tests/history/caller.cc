#include "tests/history/caller.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/history/history_services.h"
#include "tests/history/stream_script.h"

namespace weft::test {

using namespace internal;

namespace {

constexpr int kMaxUnderWay = 40;  // of one caller, beside a blocking one

}  // namespace

void LiveCalls::Add(const CallRef& call) {
  std::lock_guard<std::mutex> lock(mu_);
  calls_[call->key] = call;
}

void LiveCalls::Remove(size_t key) {
  std::lock_guard<std::mutex> lock(mu_);
  calls_.erase(key);
}

void LiveCalls::CancelAll() {
  cancelled_.store(true);
  std::vector<CallRef> calls;
  {
    std::lock_guard<std::mutex> lock(mu_);
    for (const auto& [key, weak] : calls_) {
      if (CallRef call = weak.lock()) calls.push_back(std::move(call));
    }
  }
  for (const CallRef& call : calls) call->context.Cancel();
}

Canceller::~Canceller() {
  queue_.Update([](Queue& q) { q.stop = true; });
  thread_.join();
}

void Canceller::Work() {
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

CallRef Caller::Draw(size_t key, uint64_t* random) const {
  auto call = std::make_shared<HistoryCall>();
  call->key = key;
  call->plan = CallPlan::Drawn(random);
  CallPlan& plan = call->plan;
  // Handlers of this world call nobody back.
  if (first_back_ == 0 && plan.fate == CallPlan::Fate::kCallsBack) {
    plan.fate = CallPlan::Fate::kPlain;
  }
  call->request.set_number(static_cast<int64_t>(key));
  call->request.set_payload(std::string(plan.bytes, static_cast<char>('a' + key % 26)));
  if (plan.fate == CallPlan::Fate::kFailing) call->request.set_text("fail");
  if (plan.fate == CallPlan::Fate::kSlow) call->request.set_text("slow");
  if (plan.fate == CallPlan::Fate::kCallsBack) {
    // The call back has a key of its own, behind those of all callers.
    call->request.add_words(absl::StrCat(first_back_ + static_cast<int64_t>(key)));
  }
  return call;
}

void Caller::Make(size_t key, uint64_t* random) {
  const CallRef call = Draw(key, random);
  const CallPlan& plan = call->plan;
  history_.OnStarted(
      key,
      {plan.ToString(), {plan.method, plan.style}, plan.method == CallPlan::Method::kIdempotent});
  live_.Add(call);
  if (plan.fate == CallPlan::Fate::kStopped) call->context.CancelOn(call->stop.get_token());
  if (plan.fate == CallPlan::Fate::kCancelledFirst) call->context.Cancel();
  const bool late = NextRandomBits(random) % 2 == 0;
  // Half of the cancels may come before the call is started, half after it.
  if (plan.cancels() && !late) canceller_.Add(call);
  CallTarget& target = world_.target(NextRandomBits(random));
  EchoService::Stub stub(target);
  std::shared_ptr<StreamCaller> stream;
  if (plan.streams()) {
    stream = std::make_shared<StreamCaller>(Rows::Stub(target), StreamOf(*call), OptionsOf(*call));
  }
  if (plan.style == CallPlan::Style::kBlocking) {
    stream != nullptr ? Ended(*call, stream->Block()) : Ended(*call, Block(stub, *call));
    return;
  }
  // A HangWatch ends what never ends.
  while (!under_way_.WaitFor([](int n) { return n < kMaxUnderWay; })) {
  }
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

void Caller::WaitForAll() {
  while (!under_way_.WaitForValue(0)) {
  }
}

CallOptions Caller::OptionsOf(HistoryCall& call) {
  return {.timeout = call.plan.timeout,
          .context = &call.context,
          .wait_for_ready = call.plan.fate == CallPlan::Fate::kWaitForReady};
}

absl::StatusOr<EchoReply> Caller::Block(EchoService::Stub& stub, HistoryCall& call) {
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

void Caller::Begin(EchoService::Stub& stub, const CallRef& call) {
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

Coro<int> Caller::Await(EchoService::Stub stub, CallRef call) {
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

// The course of a stream, by the fate of its call.
StreamCaller::Wishes Caller::StreamOf(const HistoryCall& call) const {
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
    // At least one message is read.
    wishes.midway += 1;
    // The handler only writes, so that its replies are left.
    script.order = Order::kRepliesFirst;
    script.requests = 0;
  } else if (plan.fate == Fate::kCallsBack) {
    script.call_back = first_back_ + script.key;
  }
  return wishes;
}

void Caller::Begin(StreamCaller& stream, const CallRef& call) {
  const auto done = [this, call](const StreamOutcome& outcome) { EndedLater(*call, outcome); };
  call->plan.style == CallPlan::Style::kCallback ? stream.BeginCallbacks(done)
                                                 : stream.BeginCoroutines(done);
}

// The network and the servers of a world break, stop and refuse; nothing else goes wrong.
bool Caller::Explained(const CallPlan& plan, absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kUnavailable:
    // Limits of calls and queues are low: see session_limits.h.
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

void Caller::Ended(const HistoryCall& call, const absl::StatusOr<EchoReply>& result) {
  CallEnding ending = EndingOf(call, result.status());
  if (result.ok()) {
    ending.matches =
        result->number() == call.request.number() && result->payload() == call.request.payload() &&
        result->text() == call.request.text() && call.plan.fate != CallPlan::Fate::kFailing;
  }
  Tell(call, ending);
}

void Caller::Ended(const HistoryCall& call, const StreamOutcome& outcome) {
  CallEnding ending = EndingOf(call, outcome.status);
  // The end of a dropped call is told to nobody, so its context cannot know.
  if (outcome.dropped) ending.may_have_been_executed = true;
  ending.matches &= outcome.matches;
  ending.stream = outcome.tally;
  Tell(call, ending);
}

void Caller::Tell(const HistoryCall& call, const CallEnding& ending) {
  live_.Remove(call.key);
  history_.OnEnded(call.key, ending);
}

CallEnding Caller::EndingOf(const HistoryCall& call, const absl::Status& status) const {
  CallEnding ending;
  ending.code = status.code();
  ending.may_have_been_executed = call.context.may_have_been_executed();
  if (absl::IsAborted(status)) {
    ending.matches = call.plan.fate == CallPlan::Fate::kFailing &&
                     status.message() == FailureOf(static_cast<int64_t>(call.key));
  }
  if (!Explained(call.plan, ending.code)) ending.unexplained = status.ToString();
  if (live_.cancelled()) {
    std::printf("call %zu ended when it was cancelled: %s\n", call.key, status.ToString().c_str());
  }
  return ending;
}

}  // namespace weft::test
