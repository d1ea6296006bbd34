#include "weft/rpc/call/sleep_wait.h"

#include <algorithm>
#include <utility>

namespace weft::internal {
namespace {

absl::Status Stopped() { return absl::CancelledError("sleep: its runtime has stopped"); }

}  // namespace

// A timer for kNever would not be armed, and so not be told of the loop's close.
SleepWait::SleepWait(std::shared_ptr<EventLoop> loop, MonoTime at, absl::Status status)
    : loop_(std::move(loop)),
      at_(std::min(at, kNever - Nanos(1))),
      status_at_end_(std::move(status)),
      timer_(
          *loop_, [this] { OnTimer(); }, Timer::AtClose::kFires) {}

// The ticket is set last. An end that comes before finds no ticket to resume, and is noticed here
// by ended_.
bool SleepWait::Suspend(std::coroutine_handle<> awaiter, const std::shared_ptr<CallScope>& scope) {
  auto ticket = std::make_shared<ResumeTicket>(awaiter, nullptr);
  if (scope != nullptr) on_stop_.emplace(scope->stop_token(), OnStop{this});
  self_ = shared_from_this();
  // Without the mutex: a loop that has closed runs Cancel inside Post.
  loop_->Post(this);
  MutexLock lock(mu_);
  if (ended_) return false;
  ticket_ = std::move(ticket);
  return true;
}

void SleepWait::GiveUp() {
  std::shared_ptr<ResumeTicket> ticket;
  {
    MutexLock lock(mu_);
    ended_ = true;
    ticket = ticket_;
  }
  if (ticket != nullptr) ticket->TakeBack();
  on_stop_.reset();  // without the mutex: it waits for one that runs
  StopTimer();
}

absl::Status SleepWait::TakeStatus() {
  on_stop_.reset();
  MutexLock lock(mu_);
  return std::move(status_);
}

void SleepWait::Run() {
  loop_->AssertInLoop();
  {
    MutexLock lock(mu_);
    if (!ended_) {
      timer_.StartAt(at_);
      return;
    }
  }
  const std::shared_ptr<SleepWait> done = std::move(self_);
}

void SleepWait::Cancel() {
  const std::shared_ptr<SleepWait> done = std::move(self_);
  End(Stopped());
}

void SleepWait::OnTimer() {
  const std::shared_ptr<SleepWait> done = std::move(self_);
  End(loop_->clock().Now() >= at_ ? status_at_end_ : Stopped());
}

// Runs inside the call that stops the scope. Another thread may be dropping the last share at the
// same moment; there the destructor of on_stop_ waits until this returns.
void SleepWait::OnCancelled() {
  const std::shared_ptr<SleepWait> self = weak_from_this().lock();
  if (self == nullptr) return;
  End(absl::CancelledError("sleep: the handler's call was cancelled"));
  StopTimer();
}

void SleepWait::End(absl::Status status) {
  std::shared_ptr<ResumeTicket> ticket;
  {
    MutexLock lock(mu_);
    if (std::exchange(ended_, true)) return;
    status_ = std::move(status);
    ticket = ticket_;
  }
  if (ticket != nullptr) ResumeTicket::Go(std::move(ticket), loop_.get());
}

// Does nothing if the loop has not started the timer yet: Run sees by itself that the sleep has
// ended. A loop that has closed has fired the timer.
void SleepWait::StopTimer() {
  loop_->Post([self = shared_from_this()](TaskFate fate) {
    if (fate != TaskFate::kRun) return;
    self->loop_->AssertInLoop();
    if (!self->timer_.armed()) return;
    self->timer_.Stop();
    self->self_.reset();
  });
}

}  // namespace weft::internal
