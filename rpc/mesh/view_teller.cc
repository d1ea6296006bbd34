#include "weft/rpc/mesh/view_teller.h"

#include <utility>

#include "weft/core/guarded_call.h"

namespace weft::internal {

void ViewTeller::Start(Membership::Changed changed) {
  bool taken;
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    taken = changed_ != nullptr;
    if (!taken) changed_ = std::make_shared<const Membership::Changed>(std::move(changed));
  }
  if (taken) {
    changed(absl::FailedPreconditionError(
        "a membership serves one node, and this one has been given to another"));
    return;
  }
  TellWaiting();
}

void ViewTeller::Tell(absl::StatusOr<View> news) {
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    if (news.ok()) {
      waiting_view_ = *std::move(news);
      waiting_error_ = absl::OkStatus();
    } else {
      waiting_error_ = news.status();
    }
  }
  TellWaiting();
}

std::optional<absl::StatusOr<View>> ViewTeller::TakeNews() {
  if (waiting_view_.has_value()) {
    View view = *std::exchange(waiting_view_, std::nullopt);
    // After an error the same view is news again: the listener has to learn that the source is
    // well.
    if (!last_error_.ok() || !last_view_.has_value() || !(*last_view_ == view)) {
      last_view_ = view;
      last_error_ = absl::OkStatus();
      return absl::StatusOr<View>(std::move(view));
    }
  }
  // A view and an error may both wait. The error came later, so the view is told first.
  const absl::Status error = std::exchange(waiting_error_, absl::OkStatus());
  if (error.ok() || error == last_error_) return std::nullopt;
  last_error_ = error;
  return absl::StatusOr<View>(error);
}

void ViewTeller::TellWaiting() {
  MutexLock lock(mu_);
  if (teller_ != std::thread::id()) return;  // that thread checks again after its call
  while (changed_ != nullptr) {
    std::optional<absl::StatusOr<View>> news = TakeNews();
    if (!news.has_value()) return;
    // A share: Stop may let go of the member during the call.
    std::shared_ptr<const Membership::Changed> changed = changed_;
    // One thread at a time tells, so that a listener hears of views in their order.
    teller_ = std::this_thread::get_id();
    lock.Unlock();
    GuardedCall("a membership's listener", [&] { (*changed)(*std::move(news)); });
    changed = nullptr;  // after Stop this is the last share; it goes without the lock
    lock.Lock();
    teller_ = std::thread::id();
    told_.NotifyAll();
  }
}

void ViewTeller::Stop() {
  std::shared_ptr<const Membership::Changed> last;
  MutexLock lock(mu_);
  stopped_ = true;
  last = std::move(changed_);
  waiting_view_ = std::nullopt;
  // Inside the listener, waiting for its own call would never end.
  if (teller_ != std::this_thread::get_id()) {
    while (teller_ != std::thread::id()) told_.Wait(mu_);
  }
  lock.Unlock();
  last = nullptr;  // destroyed without the lock: it may hold anything of the user's
}

}  // namespace weft::internal
