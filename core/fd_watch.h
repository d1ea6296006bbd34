// A descriptor's readiness, by libevent. Registered once for reading.
//
// Threads  loop-only
// Owns     its two libevent events, not the descriptor
// Errors   Start: a Status when libevent refuses the descriptor; OnWatchFailed when the kernel
//          refuses to watch it
// Ends     after Stop, or its destruction, no callback comes; both are legal inside one
#ifndef WEFT_CORE_FD_WATCH_H_
#define WEFT_CORE_FD_WATCH_H_

#include <memory>

#include "absl/status/status.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/core/watch.h"

namespace weft::internal {

class FdWatch final : public Watch {
 public:
  FdWatch() = default;
  ~FdWatch() override WEFT_NO_THREAD_ANALYSIS { Stop(); }
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;

  absl::Status Start(EventLoop& loop, int fd, WatchEvents* events) WEFT_LOOP_ONLY;
  void WatchRead(bool on) WEFT_LOOP_ONLY override;
  void WatchWrite(bool on) WEFT_LOOP_ONLY override;
  void Stop() WEFT_LOOP_ONLY override;
  void SetEvents(WatchEvents* events) WEFT_LOOP_ONLY override { events_ = events; }
  bool started() const WEFT_LOOP_ONLY { return read_event_ != nullptr; }

 private:
  void Switch(event* which, bool on, bool* now) WEFT_LOOP_ONLY;
  static void OnEvent(int fd, short what, void* self);

  EventLoop* loop_ = nullptr;  // set by Start, before the first event
  WatchEvents* events_ WEFT_LOOP_OWNED = nullptr;
  event* read_event_ WEFT_LOOP_OWNED = nullptr;
  event* write_event_ WEFT_LOOP_OWNED = nullptr;
  bool reading_ WEFT_LOOP_OWNED = false;
  bool writing_ WEFT_LOOP_OWNED = false;
  std::unique_ptr<Timer> failed_ WEFT_LOOP_OWNED;  // tells of a failure, in the next turn
};

}  // namespace weft::internal

#endif  // WEFT_CORE_FD_WATCH_H_
