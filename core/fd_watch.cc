#include "weft/core/fd_watch.h"

#include <utility>

#include <event2/event.h>

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status FdWatch::Start(EventLoop& loop, int fd, WatchEvents* events) {
  Stop();
  loop_ = &loop;
  events_ = events;
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
  if (read_event_ == nullptr || reading_ == on) return;
  reading_ = on;
  on ? event_add(read_event_, nullptr) : event_del(read_event_);
}

void FdWatch::WatchWrite(bool on) {
  if (write_event_ == nullptr || writing_ == on) return;
  writing_ = on;
  on ? event_add(write_event_, nullptr) : event_del(write_event_);
}

void FdWatch::Stop() {
  for (event** e : {&read_event_, &write_event_}) {
    if (event* old = std::exchange(*e, nullptr)) event_free(old);
  }
  reading_ = writing_ = false;
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

}  // namespace weft
