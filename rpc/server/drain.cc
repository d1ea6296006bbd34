#include "weft/rpc/server/drain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"

namespace weft::internal {
namespace {

constexpr Nanos kWarnEvery = std::chrono::seconds(5);

}  // namespace

Drain::Drain(std::shared_ptr<EventLoop> loop, Parts parts, const Log& log)
    : loop_(std::move(loop)), parts_(std::move(parts)), log_(log), timer_(*loop_, [this] {
        loop_->AssertInLoop();
        OnTimer();
      }) {}

void Drain::SetStep(Step to) {
  WEFT_DCHECK(MayGo(step_, to));
  step_ = to;
}

void Drain::Begin(MonoTime deadline, std::function<void()> done) {
  SetStep(Step::kCalls);
  deadline_ = deadline;
  done_ = std::move(done);
  next_warning_ = SaturatingAdd(deadline, kWarnEvery);
  confirm_by_ = SaturatingAdd(loop_->clock().Now(), kGoAwayConfirm);
  // Watch before anything ends, so that no call comes back unseen.
  parts_.calls.Watch(parts_.bell);
  const absl::Status why = absl::UnavailableError("the server is stopping");
  for (Session* session : parts_.sessions.All()) {
    // Telling one session may end another: callbacks of its calls are the application's.
    if (!parts_.sessions.Contains(*session)) continue;
    parts_.authentications.Drop(*session);
    parts_.sessions.SetLeaving(*session, CloseReason::kLocal, why);
    session->GoAway(why);
  }
  OnTimer();
  OnCallsBack();
}

void Drain::CloseIfFinished(Session& session) {
  if (!parts_.sessions.Contains(session)) return;
  if (!parts_.sessions.Finished(session, loop_->clock().Now() >= confirm_by_)) return;
  parts_.sessions.CloseFinished(session, absl::UnavailableError("the server has stopped"));
}

void Drain::OnTimer() {
  const MonoTime now = loop_->clock().Now();
  const bool late = now >= deadline_;
  // Handlers are told once that they are cancelled; connections are closed again at each later
  // look.
  const bool cancel = late && !std::exchange(cancelled_, late);
  for (Session* session : parts_.sessions.All()) {
    // A cancelled handler may answer at once, and writing its answer may end the session. So the
    // table is asked again below.
    if (cancel) session->CancelInbound();
    if (!late) {
      CloseIfFinished(*session);
    } else if (parts_.sessions.Contains(*session)) {
      parts_.sessions.Close(*session, absl::UnavailableError("the server has stopped"));
    }
  }
  if (now >= next_warning_) WarnOfHandlers(now);
  // Not a poll: the next limit is the confirmation, the deadline, or the next warning.
  timer_.StartAt(late                ? next_warning_
                 : now < confirm_by_ ? std::min(confirm_by_, deadline_)
                                     : deadline_);
}

void Drain::WarnOfHandlers(MonoTime now) {
  next_warning_ = now + kWarnEvery;
  if (parts_.sessions.size() > 0) return;
  log_.Warning(absl::StrCat("server: Stop waits for ", parts_.calls.out(),
                            " handlers that have not answered, and ",
                            parts_.authentications.running(),
                            " authenticators; the handlers were told that they are cancelled"));
}

void Drain::OnCallsBack() {
  if (step_ != Step::kCalls || parts_.sessions.size() > 0 || parts_.calls.out() > 0) return;
  SetStep(Step::kAuthenticators);
  // The callbacks may come on a worker's or an authenticator's thread, so Resume posts the next
  // step.
  parts_.authentications.WhenIdle([this] { Resume(&Drain::AwaitHandlers); });
}

void Drain::AwaitHandlers() {
  loop_->AssertInLoop();
  SetStep(Step::kHandlers);
  parts_.dispatcher.WhenQuiet([this] { Resume(&Drain::End); });
}

void Drain::End() {
  loop_->AssertInLoop();
  SetStep(Step::kDrained);
  timer_.Stop();
  std::exchange(done_, nullptr)();
}

void Drain::Resume(void (Drain::*next)()) {
  const std::shared_ptr<EventLoop> loop = loop_;  // Post may outlive this object
  loop->Post([this, next](TaskFate fate) {
    if (fate == TaskFate::kRun) (this->*next)();
  });
}

}  // namespace weft::internal
