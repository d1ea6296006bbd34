#include "weft/rpc/mesh/broadcast_round.h"

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/context_writer.h"

namespace weft::internal {
namespace {

constexpr char kReducer[] = "a broadcast's reducer";

absl::Status CancelledByCaller(const MethodInfo& method, const QuorumCount& count) {
  return absl::CancelledError(absl::StrCat("broadcast ", std::string(method.full_name),
                                           ": cancelled by the caller; ", count.ok(), " of ",
                                           count.members(), " had answered"));
}

}  // namespace

BroadcastRound::BroadcastRound(const BroadcastOptions& options, bool reduces, bool keeps_all)
    : rules_{options.slow, options.let_rest_run, reduces,
             keeps_all,    options.context,      options.executor} {}

BroadcastRound::~BroadcastRound() {
  // Legs live in the memory behind the round, so nobody else destroys them.
  for (size_t i = legs_.count; i > 0; --i) legs_.first[i - 1].~BroadcastLeg();
}

// ---- starting

void BroadcastRound::Launch(const BroadcastPlan& plan, char* room) {
  method_ = &plan.method;
  loop_ = plan.peers->loop;
  Prepare(plan);
  MakeLegs(plan, room);
  const std::shared_ptr<BroadcastRound> keep = shared_from_this();
  if (rules_.context != nullptr) {
    // Before the first leg starts: the caller may cancel from another thread as soon as it has the
    // context. `progress_.cancelled` remembers a cancel that comes before the legs.
    ContextWriter(*rules_.context)
        .SetHandle(CallHandle(std::shared_ptr<CallCanceller>(keep, this), 1));
  }
  Todo todo;
  size_t starts = 0;
  {
    MutexLock lock(mu_);
    progress_.count = plan.count;
    if (!plan.why.ok()) {
      Decide(plan.why, &todo);
    } else if (progress_.cancelled) {
      Decide(CancelledByCaller(*method_, progress_.count), &todo);
    } else {
      starts = plan.legs();
      DecideByCount(&todo);  // nobody is called, or this node is enough
    }
    if (progress_.state != State::kOpen && !rules_.let_rest_run) starts = 0;
    // Counted before the first leg starts. A leg may end inside Start, and must not see 0 while
    // others are still to come. `self_` keeps the round alive from here to the last end.
    progress_.under_way = starts;
    if (starts > 0) self_ = keep;
  }
  if (todo.deliver) Deliver(loop_.get());
  if (starts > 0) StartLegs(plan);
}

void BroadcastRound::MakeLegs(const BroadcastPlan& plan, char* room) {
  if (plan.legs() == 0) return;
  // The memory behind the round is only aligned for max_align_t.
  static_assert(alignof(BroadcastLeg) <= alignof(std::max_align_t));
  const CallOptions options = plan.LegOptions();
  char* const bytes = room + plan.legs() * sizeof(BroadcastLeg);
  if (plan.request == nullptr) MessageCodec::WriteTo(plan.message, bytes);
  legs_.first = reinterpret_cast<BroadcastLeg*>(room);
  for (; legs_.count < plan.legs(); ++legs_.count) {
    auto* const leg = new (legs_.first + legs_.count)
        BroadcastLeg(*this, legs_.count, plan.method, plan.message, options);
    if (plan.request != nullptr) {
      leg->request.ShareWith(plan.request);
    } else {
      leg->request.ReferTo({bytes, plan.request_size});
    }
    if (rules_.context == nullptr) continue;
    ClientContext& own = *rules_.context;
    if (!own.metadata().empty()) leg->KeepMetadata(own.metadata());
    if (!own.attachment().empty()) leg->KeepAttachment(own.attachment());
  }
}

void BroadcastRound::StartLegs(const BroadcastPlan& plan) {
  size_t started = 0;
  // A leg may end inside Start, so the outcome can be certain before all legs have started.
  while (started < legs_.count && (rules_.let_rest_run || MayWantReplies())) {
    plan.TargetOf(started).Start(legs_.first[started]);
    ++started;
  }
  if (started == legs_.count) return;
  // Released after the mutex, which is a member of the round.
  std::shared_ptr<BroadcastRound> keep;
  MutexLock lock(mu_);
  // The remaining legs never start and never end: take them out of the count here.
  progress_.under_way -= legs_.count - started;
  if (progress_.under_way == 0) keep = std::move(self_);
  lock.Unlock();
}

void BroadcastRound::OnLegStarted(BroadcastLeg& leg, CallHandle handle) {
  {
    MutexLock lock(mu_);
    // The outcome may have become certain between Start and this call. CollectHandles had no handle
    // for this leg then, so this function must cancel the leg itself.
    const bool goes_on = progress_.state == State::kOpen || rules_.let_rest_run;
    if (goes_on && !progress_.cancelled) {
      leg.SetHandle(std::move(handle));
      return;
    }
  }
  handle.Cancel();
}

// Without this check a retry would start after CollectHandles has cancelled all other legs.
bool BroadcastRound::WantsLeg() {
  MutexLock lock(mu_);
  return (progress_.state == State::kOpen || rules_.let_rest_run) && !progress_.cancelled;
}

// ---- ends

BroadcastRound::Keep BroadcastRound::TakeEnd(BroadcastLeg& leg, const LegEnd& end, Todo* todo) {
  (void)leg.TakeHandle();
  progress_.executed |= end.may_have_been_executed;
  // Keep the round until Do returns. Another thread may take the last end meanwhile and drop
  // `self_`.
  todo->keep = self_;
  if (--progress_.under_way == 0) self_ = nullptr;
  if (progress_.state != State::kOpen) {
    if (rest_ != nullptr) {
      // Order matters: a reader that sees under_way == 0 (acquire) must see all of ok and failed.
      (end.end == PeerEnd::kOk ? rest_->ok : rest_->failed).fetch_add(1, std::memory_order_relaxed);
      rest_->under_way.fetch_sub(1, std::memory_order_release);
    }
    if (!KeepsRest()) return Keep::kNot;
    Count(end);
    return Keep::kAndTell;
  }
  if (end.end != PeerEnd::kOk) progress_.last_failed = leg.index();
  // With a reducer only the draining thread decides. A decision here would let the caller take the
  // replies while the reducer still reads them.
  if (rules_.reduces) {
    ended_.push_back({leg.index(), end});
    todo->drain = !std::exchange(progress_.draining, true);
    return Keep::kQuietly;
  }
  Count(end);
  if (progress_.cancelled && end.code == absl::StatusCode::kCancelled) {
    Decide(CancelledByCaller(*method_, progress_.count), todo);
  } else {
    DecideByCount(todo);
  }
  return Keep::kAndTell;
}

void BroadcastRound::Count(const LegEnd& end) {
  switch (end.end) {
    case PeerEnd::kOk:
      progress_.count.CountOk();
      return;
    case PeerEnd::kSkipped:
      progress_.count.CountSkip();
      return;
    case PeerEnd::kFailed:
    case PeerEnd::kOpen:
      break;
  }
  progress_.count.CountFailure();
}

void BroadcastRound::DecideByCount(Todo* todo) {
  switch (progress_.count.outcome()) {
    case QuorumCount::Outcome::kOpen:
      return;
    case QuorumCount::Outcome::kReached:
      Decide(absl::OkStatus(), todo);
      return;
    case QuorumCount::Outcome::kHopeless:
      // The text needs this leg's error, which the caller of TakeEnd stores only after this
      // returns. Do() makes the status.
      progress_.too_few = true;
      Decide(absl::OkStatus(), todo);
      return;
  }
}

void BroadcastRound::Decide(absl::Status status, Todo* todo) {
  WEFT_DCHECK(progress_.state == State::kOpen);
  progress_.state = State::kCertain;
  progress_.status = std::move(status);
  todo->deliver = true;
  if (rules_.let_rest_run) {
    // Legs that are still under way report to `rest_` from now on, instead of to the count.
    if (progress_.under_way > 0) {
      rest_ = std::make_shared<RestOfBroadcast>();
      rest_->under_way.store(static_cast<int>(progress_.under_way), std::memory_order_relaxed);
    }
  } else {
    CollectHandles(&todo->cancelled);
  }
  // From now on ends on other loops skip parsing their replies.
  if (!rules_.keeps_all || !rules_.let_rest_run) {
    wants_replies_.store(false, std::memory_order_release);
  }
}

void BroadcastRound::CollectHandles(std::vector<CallHandle>* handles) {
  if (progress_.under_way == 0) return;
  for (size_t i = 0; i < legs_.count; ++i) {
    if (CallHandle handle = legs_.first[i].TakeHandle(); handle.valid()) {
      handles->push_back(std::move(handle));
    }
  }
}

absl::Status BroadcastRound::TooFew() {
  QuorumError error;
  AddFailures(progress_.last_failed, &error);
  return error.Make(*method_, progress_.count);
}

void BroadcastRound::Do(Todo todo) {
  for (const CallHandle& handle : todo.cancelled) handle.Cancel();
  if (todo.deliver) {
    {
      MutexLock lock(mu_);
      // The last failure is stored now; see DecideByCount.
      if (std::exchange(progress_.too_few, false)) progress_.status = TooFew();
    }
    Deliver(nullptr);
  }
  OnTold();
  if (todo.drain) {
    // The user's reducer must not run inside another call of the user's on this thread;
    // CallbackQueue sees to that.
    CallbackQueue::Call(nullptr, kReducer, [this, keep = shared_from_this()] { Drain(); });
  }
}

// ---- reducers

bool BroadcastRound::NextToReduce(Ended* next) {
  if (progress_.state == State::kOpen && !ended_.empty()) {
    *next = ended_.front();
    ended_.erase(ended_.begin());
    // Counted one at a time, so that the reducer sees the count as it was at this end, not as it is
    // after later ones.
    Count(next->end);
    return true;
  }
  if (KeepsRest()) {
    for (const Ended& each : ended_) {
      Count(each.end);
      OnKept(each.leg);
    }
  }
  ended_.clear();
  // Under the same lock as the check that nothing waits: the next end sees `draining` false and
  // drains.
  progress_.draining = false;
  return false;
}

void BroadcastRound::Drain() {
  for (;;) {
    Ended next;
    QuorumCount count;
    {
      MutexLock lock(mu_);
      if (!NextToReduce(&next)) break;
      count = progress_.count;
    }
    bool returned = false;
    // A reducer that throws leaves `returned` false and fails the broadcast.
    Step step = Step::kFail;
    {
      // Held while the reducer runs, and taken by Abandon: after Abandon returns, the reducer and
      // the replies it reads may be destroyed.
      MutexLock lock(reducer_mu_);
      GuardedCall(kReducer, [&] {
        if (MayWantReplies()) step = Reduce(next.leg, count);
        returned = true;
      });
    }
    Todo todo;
    {
      MutexLock lock(mu_);
      if (progress_.state == State::kOpen) {
        if (progress_.cancelled && next.end.code == absl::StatusCode::kCancelled) {
          Decide(CancelledByCaller(*method_, progress_.count), &todo);
        } else if (returned) {
          Apply(step, &todo);
        } else {
          Decide(absl::InternalError(absl::StrCat("broadcast ", std::string(method_->full_name),
                                                  ": the reducer threw an exception")),
                 &todo);
        }
        OnKept(next.leg);
      }
    }
    Do(std::move(todo));
  }
  OnTold();
}

void BroadcastRound::Apply(Step step, Todo* todo) {
  switch (step) {
    case Step::kByCount:
      DecideByCount(todo);
      return;
    case Step::kDone:
      Decide(absl::OkStatus(), todo);
      return;
    case Step::kContinue:
      if (progress_.count.open() > 0) return;
      break;
    case Step::kFail:
      break;
  }
  absl::Status why = WhyReduced();
  progress_.too_few = why.ok();
  Decide(std::move(why), todo);
}

// ---- by who waits

void BroadcastRound::Cancel() {
  std::vector<CallHandle> handles;
  {
    MutexLock lock(mu_);
    if (progress_.state != State::kOpen) return;
    progress_.cancelled = true;
    CollectHandles(&handles);
  }
  for (const CallHandle& handle : handles) handle.Cancel();
}

void BroadcastRound::Abandon() {
  std::vector<CallHandle> handles;
  {
    MutexLock lock(mu_);
    const bool certain = progress_.state == State::kCertain;
    progress_.state = State::kAbandoned;
    progress_.cancelled |= !certain;
    if (!certain || !rules_.let_rest_run) CollectHandles(&handles);
    wants_replies_.store(false, std::memory_order_release);
  }
  // Wait for a reducer that is running. Later ones see wants_replies_ false and do not run.
  { MutexLock lock(reducer_mu_); }
  for (const CallHandle& handle : handles) handle.Cancel();
  OnTold();
}

}  // namespace weft::internal
