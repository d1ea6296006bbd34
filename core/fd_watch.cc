#include "weft/core/fd_watch.h"

#include <errno.h>

#include <utility>

#include <event2/event.h>

#include "absl/strings/str_cat.h"
#include "weft/core/exhausted.h"

namespace weft::internal {

absl::Status FdWatch::Start(EventLoop& loop, int fd, WatchEvents* events) {
  Stop();
  if (loop.stepped()) {
    return absl::FailedPreconditionError(
        absl::StrCat("loop ", loop.name(), ": one that is stepped watches no descriptors"));
  }
  loop_ = &loop;
  events_ = events;
  // Before event_new, which makes what libevent keeps of this number.
  loop.slots_.Cover(loop.base(), loop.pipe_.read_fd(), fd);
  read_event_ = event_new(loop.base(), fd, EV_READ | EV_PERSIST, &OnEvent, this);
  write_event_ = event_new(loop.base(), fd, EV_WRITE | EV_PERSIST, &OnEvent, this);
  if (read_event_ == nullptr || write_event_ == nullptr) {
    Stop();
    return absl::ResourceExhaustedError(
        absl::StrCat("loop ", loop.name(), ": cannot watch fd ", fd));
  }
  return absl::OkStatus();
}

void FdWatch::WatchRead(bool on) {
  if (read_event_ != nullptr) Switch(read_event_, on, &reading_);
}

void FdWatch::WatchWrite(bool on) {
  if (write_event_ != nullptr) Switch(write_event_, on, &writing_);
}

void FdWatch::Switch(event* which, bool on, bool* now) {
  if (*now == on) return;
  *now = on;
  if (!on) {
    event_del(which);
    return;
  }
  if (event_add(which, nullptr) == 0) return;
  const int error = errno;
  // Not watched, so a later WatchRead tries again.
  *now = false;
  if (failed_ != nullptr) return;
  absl::Status why = Exhausted::Descriptors(
      error, absl::StrCat("loop ", loop_->name(), ": cannot watch fd ", event_get_fd(which)));
  // Not now: who asked may not be ready for its end.
  failed_ = std::make_unique<Timer>(*loop_, [this, why = std::move(why)] {
    FdWatch* const watch = this;  // what is captured goes with the timer
    watch->loop_->AssertInLoop();
    const absl::Status told = why;
    watch->failed_.reset();
    watch->events_->OnWatchFailed(told);  // may end the watch
  });
  failed_->StartAt(loop_->clock().Now());
}

void FdWatch::Stop() {
  for (event** e : {&read_event_, &write_event_}) {
    if (event* old = std::exchange(*e, nullptr)) event_free(old);
  }
  reading_ = writing_ = false;
  failed_.reset();
}

void FdWatch::OnEvent(int, short what, void* self) {
  auto* watch = static_cast<FdWatch*>(self);
  watch->loop_->AssertInLoop();
  watch->loop_->active_ = true;
  watch->loop_->Woken();
  if ((what & EV_WRITE) != 0) {
    watch->events_->OnWritable();  // may end the watch; libevent calls once for each event
  } else {
    watch->events_->OnReadable();
  }
}

}  // namespace weft::internal
