#include "weft/rpc/client/call_driver.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/check.h"
#include "weft/core/random_bits.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/call/attempt_text.h"

namespace weft::internal {
namespace {

constexpr std::string_view kClosed = "the channel was closed";

CallOptions ForAttempts(CallOptions options) {
  options.context = nullptr;
  options.executor = nullptr;
  return options;
}

// Returns the server's wish about another attempt: none, a wait, or (negative) that there be none.
std::optional<int64_t> PushbackOf(std::string_view trailers) {
  if (trailers.empty()) return std::nullopt;
  Metadata metadata;
  (void)metadata.ReadFrom(trailers);
  const std::optional<std::string_view> text = metadata.Get(CallDriver::kPushback);
  if (!text.has_value()) return std::nullopt;
  int64_t ms = -1;  // a damaged value counts as: not again
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), ms);
  return error == std::errc() && end == text->data() + text->size() ? ms : -1;
}

}  // namespace

class CallDriver::Attempt final : public OutboundCall {
 public:
  Attempt(CallDriver& driver, int number)
      : OutboundCall(driver.task_.method, driver.call_->request.message(),
                     // Attempts report to the driver: the caller's context and executor are for the
                     // call's own end.
                     ForAttempts(driver.call_->options)),
        driver_(driver),
        number_(number) {
    request.ShareWith(driver.task_.request);
    for (const auto& earlier : driver.attempts_) {
      if (const uint64_t link = earlier->link(); link > 0) tried_.push_back(link);
    }
  }

  bool wants_handle() const override { return true; }
  void Started(CallHandle h) override { driver_.AttemptStarted(*this, std::move(h)); }
  void DescribePick(PickRequest* pick) const override {
    pick->attempt = number_;
    pick->tried = tried_;
  }
  void OnPicked(uint64_t link) override { link_.store(link, std::memory_order_relaxed); }
  int number() const { return number_; }
  // The link over which it is, or was, sent; 0: none yet.
  uint64_t link() const { return link_.load(std::memory_order_relaxed); }

  bool under_way = true;
  CallHandle handle;  // under the driver's mutex

 private:
  void Complete(const CallEnd& end) override { driver_.AttemptEnded(*this, end); }

  CallDriver& driver_;
  const int number_;
  std::vector<uint64_t> tried_;  // links of earlier attempts
  std::atomic<uint64_t> link_{0};
};

// A copy of an attempt's end that came on another loop, with everything that it refers to.
struct CallDriver::OwnEnd {
  explicit OwnEnd(const CallEnd& from)
      : end(from),
        reply(from.reply, from.reply == nullptr ? 0 : from.reply_size),
        trailers(from.trailers) {
    end.trailers = trailers;
    if (from.reply != nullptr) end.reply = reply.data();
    if (from.whole_reply != nullptr) {
      whole = *from.whole_reply;
      end.whole_reply = &whole;
    }
  }

  CallEnd end;
  std::string reply;
  std::string trailers;
  ReceivedMessage whole;
};

CallDriver::CallDriver(std::shared_ptr<const void> keeper, const Shared& shared,
                       const AttemptPlan& plan, OutboundCall& call)
    : shared_(shared),
      task_{plan,
            std::move(keeper),
            call.method,
            call.plan().deadline,
            call.request.shared(),
            call.plan().counts},
      call_(&call) {
  WEFT_DCHECK(task_.request != nullptr);
}

CallDriver::~CallDriver() = default;

void CallDriver::Start(std::shared_ptr<const void> keeper, const Shared& shared,
                       const AttemptPlan& plan, OutboundCall& call) {
  auto driver = std::make_shared<CallDriver>(std::move(keeper), shared, plan, call);
  driver->self_ = driver;
  call.MakePlan().resender = nullptr;  // the attempts have it instead
  call.SetInFlight();
  Attempt& first = driver->NewAttempt();
  if (call.wants_handle()) {
    call.Started(CallHandle(
        std::shared_ptr<CallCanceller>(driver, static_cast<CallCanceller*>(driver.get())), 1));
  }
  // Posted before the attempt is sent: BeginHedging sees an end that came first, and does nothing.
  if (plan.hedged) shared.host.Post([driver] { driver->BeginHedging(); });
  // From here on the call may have ended, and `call` may be gone.
  shared.host.SendAttempt(first);
}

CallDriver::Attempt& CallDriver::NewAttempt() {
  attempts_.push_back(std::make_unique<Attempt>(*this, static_cast<int>(attempts_.size()) + 1));
  Attempt& attempt = *attempts_.back();
  ++under_way_;
  OutboundCall::Plan& plan = attempt.MakePlan();
  plan.started = attempt.number() == 1 ? call_->plan().started : shared_.host.Now();
  plan.deadline = task_.deadline;
  plan.codec = call_->plan().codec;
  // From the second attempt on, copies come from the first one: the call may have ended by then,
  // and with it the caller's context.
  const Metadata* metadata =
      attempt.number() == 1 ? call_->metadata() : attempts_.front()->metadata();
  if (metadata != nullptr) attempt.KeepMetadata(*metadata);
  const absl::Cord* attachment =
      attempt.number() == 1 ? call_->attachment() : attempts_.front()->attachment();
  if (attachment != nullptr) attempt.KeepAttachment(*attachment);
  return attempt;
}

// ---- Starting attempts

void CallDriver::StartNext() {
  state_ = State::kTrying;
  (task_.plan.hedged ? shared_.counts.hedges : shared_.counts.retries)
      .fetch_add(1, std::memory_order_relaxed);
  if (task_.method_counts != nullptr) {
    task_.plan.hedged ? task_.method_counts->AddHedge() : task_.method_counts->AddRetry();
  }
  shared_.host.SendAttempt(NewAttempt());
}

void CallDriver::BeginHedging() {
  if (state_ == State::kTrying && attempts_.size() == 1 && under_way_ == 1) WakeForHedge();
}

void CallDriver::WakeForHedge() {
  if (no_more_ || static_cast<int>(attempts_.size()) >= task_.plan.attempts) return;
  const MonoTime at = SaturatingAdd(shared_.host.Now(), ToNanos(task_.plan.hedging->delay));
  if (at < task_.deadline) WakeAt(at);  // later it would be useless
}

void CallDriver::OnDeadline() {
  const std::shared_ptr<CallDriver> keep = self_;  // an attempt may end while it is being sent
  DontWake();
  if (!task_.plan.hedged) {
    StartNext();
    return;
  }
  // A hedge pays its token when it starts: nothing has failed yet that would have paid.
  if (!shared_.budget.Allows()) {
    shared_.counts.over_budget.fetch_add(1, std::memory_order_relaxed);
    if (under_way_ == 0) FinishWithFailure("the channel's retry budget is used up");
    return;
  }
  shared_.budget.Take();
  StartNext();
  if (state_ == State::kTrying) WakeForHedge();
}

void CallDriver::WakeAt(MonoTime at) {
  DontWake();
  armed_ = true;
  shared_.host.WakeAt(*this, at);
}

void CallDriver::DontWake() {
  if (std::exchange(armed_, false)) shared_.host.DontWake(*this);
}

void CallDriver::AttemptStarted(Attempt& attempt, CallHandle handle) {
  {
    MutexLock lock(mu_);
    attempt.handle = handle;
    if (!cancelled_) return;
  }
  handle.Cancel();
}

// ---- Ending

void CallDriver::AttemptEnded(Attempt& attempt, const CallEnd& end) {
  if (shared_.host.InHome()) {
    TakeEnd(attempt, end, /*closed=*/false);
    return;
  }
  // The bytes of `end` are valid only during this call, so the posted task has its own copy.
  shared_.host.PostEnd([keep = shared_from_this(), this, &attempt,
                        own = std::make_shared<const OwnEnd>(end)](bool closed) {
    // No loop serializes the ends any more: a mutex does instead.
    if (closed) {
      MutexLock lock(closed_mu_);
      TakeEnd(attempt, own->end, closed);
    } else {
      TakeEnd(attempt, own->end, closed);
    }
  });
}

void CallDriver::TakeEnd(Attempt& attempt, const CallEnd& end, bool closed) {
  const std::shared_ptr<CallDriver> keep = self_;  // the last attempt may end inside the call's end
  attempt.under_way = false;
  --under_way_;
  shared_.host.Report(attempt.link(), end, shared_.host.Now() - attempt.plan().started);
  if (state_ == State::kDone) {
    Release();
    return;
  }
  // The call may have been executed if any attempt may have been, whichever one gives the final
  // error.
  maybe_executed_ |= end.may_have_been_executed;
  call_->wire().sent = attempt.wire().sent;
  call_->wire().initial_metadata = std::move(attempt.wire().initial_metadata);
  if (end.status.ok()) {
    shared_.budget.GiveBack();
    Finish(end);
    return;
  }
  if (Cancelled()) {
    // A failure that would have been followed by another attempt is not the call's own end: the
    // cancel is.
    if (task_.plan.Covers(end.status.code())) {
      FinishCancelled(end.status);
    } else {
      Finish(end, attempt.number());
    }
    return;
  }
  if (const std::string_view over = closed ? kClosed : shared_.host.WhyOver(); !over.empty()) {
    Finish(end, attempt.number(), over);
    return;
  }
  const Verdict verdict = Judge(attempt, end);
  if (verdict.what == Verdict::What::kAnswer) {
    Finish(end, absl::IsDeadlineExceeded(end.status) ? attempt.number() : 0);
    return;
  }
  if (verdict.what == Verdict::What::kStop && under_way_ == 0) {
    Finish(end, attempt.number(), verdict.why);
    return;
  }
  KeepFailure(attempt, end, verdict.why);
  if (verdict.what == Verdict::What::kStop) {
    if (no_more_) DontWake();
    return;  // other attempts may still bring an answer
  }
  if (task_.plan.hedged && verdict.delay == Nanos::zero()) {
    OnDeadline();
    return;
  }
  // With hedging, other attempts may be under way while this one's successor waits for its time.
  if (under_way_ == 0) state_ = State::kPausing;
  WakeAt(shared_.host.Now() + verdict.delay);
}

CallDriver::Verdict CallDriver::Judge(const Attempt& attempt, const CallEnd& end) {
  using What = Verdict::What;
  if (!task_.plan.Covers(end.status.code())) return {What::kAnswer};
  // A hedge has paid its token when it started.
  if (!task_.plan.hedged || attempt.number() == 1) shared_.budget.Take();
  if (end.may_have_been_executed && !task_.plan.idempotent) {
    return {What::kStop, {}, "it may have been executed, and the method is not idempotent"};
  }
  const std::optional<int64_t> pushback = PushbackOf(end.trailers);
  if (pushback.has_value() && *pushback < 0) no_more_ = true;
  if (no_more_) return {What::kStop, {}, "the server asks not to"};
  if (static_cast<int>(attempts_.size()) >= task_.plan.attempts) return {What::kStop};
  if (!shared_.budget.Allows()) {
    shared_.counts.over_budget.fetch_add(1, std::memory_order_relaxed);
    return {What::kStop, {}, "the channel's retry budget is used up"};
  }
  Nanos delay{};
  if (pushback.has_value()) {
    constexpr int64_t kLongest = 1'000'000'000;  // 11 days
    delay = std::chrono::milliseconds(std::min(*pushback, kLongest));
  } else if (!task_.plan.hedged) {
    delay = NextBackoff();
  }
  if (SaturatingAdd(shared_.host.Now(), delay) >= task_.deadline) {
    return {What::kStop, {}, "its deadline comes before the next attempt"};
  }
  return {What::kAgain, delay};
}

Nanos CallDriver::NextBackoff() {
  if (backoff_ == nullptr) {
    const RetryPolicy& p = *task_.plan.retry;
    backoff_ = std::make_unique<Backoff>(ToNanos(p.backoff), p.backoff_factor,
                                         ToNanos(p.max_backoff), p.backoff_jitter,
                                         RandomSeed());  // on a loop: its runtime's
  }
  return backoff_->Next();
}

void CallDriver::KeepFailure(const Attempt& attempt, const CallEnd& end, std::string_view why) {
  failure_.trailers = std::string(end.trailers);
  failure_.end = end;
  failure_.end.trailers = failure_.trailers;
  failure_.attempt = attempt.number();
  failure_.why = why;
}

void CallDriver::FinishWithFailure(std::string_view why) {
  Finish(failure_.end, failure_.attempt, why);
}

void CallDriver::Finish(CallEnd end, int attempt, std::string_view why) {
  DontWake();
  state_ = State::kDone;
  end.attempts = 0;
  for (const auto& each : attempts_) end.attempts += 1 + each->waits().resent;
  // Attempts that are still under way may be executed although they are cancelled now.
  if (!end.status.ok()) end.may_have_been_executed = maybe_executed_ || under_way_ > 0;
  if (attempt > 0 && (attempts_.size() > 1 || !why.empty())) {
    end.status = WithAttempt(end.status, task_.method,
                             absl::StrCat("attempt ", attempt, " of ", task_.plan.attempts));
    if (!why.empty()) {
      end.status = WithSuffix(end.status, absl::StrCat("; not tried again: ", AbslView(why)));
    }
  }
  // End may destroy the call. This driver lives on by a share that each caller of Finish holds.
  CancelAttempts();
  std::exchange(call_, nullptr)->End(end);
  Release();
}

void CallDriver::OnChannelClosed() {
  const std::shared_ptr<CallDriver> keep = self_;
  armed_ = false;
  if (under_way_ == 0) FinishWithFailure(kClosed);
}

// ---- Cancelling

void CallDriver::CancelCall(uint64_t) {
  shared_.host.Post([self = shared_from_this()] { self->OnCancelled(); });
}

void CallDriver::OnCancelled() {
  if (state_ == State::kDone) return;
  if (under_way_ > 0) {
    DontWake();
    CancelAttempts();
    return;  // the first of them that ends brings the call's end
  }
  FinishCancelled(failure_.end.status);
}

void CallDriver::FinishCancelled(const absl::Status& last) {
  CallEnd end;
  end.status = absl::CancelledError(absl::StrCat(
      "call ", std::string(task_.method.full_name),
      ": cancelled by the caller while it waited for its next attempt; the last one ended with: ",
      last.message()));
  Finish(std::move(end));
}

bool CallDriver::Cancelled() {
  MutexLock lock(mu_);
  return cancelled_;
}

void CallDriver::CancelAttempts() {
  std::vector<CallHandle> handles;
  {
    MutexLock lock(mu_);
    // Attempts whose handle is not known yet are cancelled in AttemptStarted, which reads this
    // flag.
    cancelled_ = true;
    for (const auto& attempt : attempts_) {
      if (attempt->under_way) handles.push_back(std::exchange(attempt->handle, CallHandle()));
    }
  }
  for (const CallHandle& handle : handles) handle.Cancel();
}

void CallDriver::Release() {
  if (state_ != State::kDone || under_way_ > 0) return;
  const std::shared_ptr<CallDriver> self = std::move(self_);
}

}  // namespace weft::internal
