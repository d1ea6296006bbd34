// Readiness of one end of an in-process connection: a task that the other end posts to this end's
// loop, and a timer for bytes that are due later.
//
// Threads  loop-only
// Owns     its task, which may outlive it in the loop's queue, harmlessly
// Ends     as Watch
#ifndef WEFT_CORE_IN_PROCESS_WATCH_H_
#define WEFT_CORE_IN_PROCESS_WATCH_H_

#include <memory>

#include "weft/core/event_loop.h"
#include "weft/core/in_process_pipe.h"
#include "weft/core/timer.h"
#include "weft/core/watch.h"

namespace weft::internal {

class InProcessWatch final : public Watch {
 public:
  InProcessWatch(EventLoop& loop, std::shared_ptr<InProcessPipe> link, InProcessPipe::Side side,
                 WatchEvents* events);
  ~InProcessWatch() override;
  InProcessWatch(const InProcessWatch&) = delete;
  InProcessWatch& operator=(const InProcessWatch&) = delete;

  void WatchRead(bool on) WEFT_LOOP_ONLY override;
  void WatchWrite(bool on) WEFT_LOOP_ONLY override;
  void Stop() WEFT_LOOP_ONLY override;
  void SetEvents(WatchEvents* events) WEFT_LOOP_ONLY override { events_ = events; }

 private:
  class LookTask;
  // Tells what is ready, and sees to being called when more is.
  void LookNow() WEFT_LOOP_ONLY;

  EventLoop& loop_;
  const std::shared_ptr<InProcessPipe> link_;
  const InProcessPipe::Side side_;
  WatchEvents* events_ WEFT_LOOP_OWNED;
  const std::shared_ptr<LookTask> task_;
  Timer due_ WEFT_LOOP_OWNED;
  bool reading_ WEFT_LOOP_OWNED = false;
  bool writing_ WEFT_LOOP_OWNED = false;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_IN_PROCESS_WATCH_H_
