#include "weft/core/in_process_watch.h"

#include <atomic>
#include <utility>

namespace weft::internal {

// Posted by whichever end changes something, at most once at a time.
class InProcessWatch::LookTask final : public LoopTask,
                                       public InProcessWaker,
                                       public std::enable_shared_from_this<LookTask> {
 public:
  LookTask(EventLoop& loop, InProcessWatch* watch) : loop_(loop), watch_(watch) {}

  // The loop is there as long as the link knows of this task.
  void Wake() override {
    if (posted_.exchange(true, std::memory_order_acq_rel)) return;
    self_ = shared_from_this();
    loop_.Post(this);
  }
  void Run() override {
    loop_.AssertInLoop();
    const std::shared_ptr<LookTask> keep = std::move(self_);
    // Before the look: a change that comes during it posts the task again.
    posted_.store(false, std::memory_order_release);
    if (watch_ != nullptr) watch_->LookNow();
  }
  // The loop has closed: nothing is posted any more.
  void Cancel() override { self_.reset(); }

  bool watched() const WEFT_LOOP_ONLY { return watch_ != nullptr; }
  void Forget() WEFT_LOOP_ONLY { watch_ = nullptr; }

 private:
  EventLoop& loop_;
  std::atomic<bool> posted_{false};
  std::shared_ptr<LookTask> self_;  // while it is posted
  InProcessWatch* watch_ WEFT_LOOP_OWNED;
};

InProcessWatch::InProcessWatch(EventLoop& loop, std::shared_ptr<InProcessPipe> link,
                               InProcessPipe::Side side, WatchEvents* events)
    : loop_(loop),
      link_(std::move(link)),
      side_(side),
      events_(events),
      task_(std::make_shared<LookTask>(loop, this)),
      due_(loop, [this] {
        loop_.AssertInLoop();
        LookNow();
      }) {
  // Last: from here on another thread may wake the task, and everything it looks at is made.
  link_->SetWaker(side_, task_);
}

InProcessWatch::~InProcessWatch() WEFT_NO_THREAD_ANALYSIS { Stop(); }

void InProcessWatch::WatchRead(bool on) {
  // Level-triggered, as epoll: what was ready before the watch is told, in a later turn and never
  // inside this call.
  if (std::exchange(reading_, on) != on && on) task_->Wake();
}

void InProcessWatch::WatchWrite(bool on) {
  if (std::exchange(writing_, on) != on && on) task_->Wake();
}

void InProcessWatch::Stop() {
  link_->SetWaker(side_, nullptr);
  // The task may be posted still. It then finds no watch.
  task_->Forget();
  due_.Stop();
  reading_ = writing_ = false;
}

void InProcessWatch::LookNow() {
  // Each event may destroy this watch; the task outlives it and tells.
  const std::shared_ptr<LookTask> task = task_;
  InProcessPipe::Readiness ready = link_->Look(side_);
  if (reading_ && ready.readable) {
    events_->OnReadable();
    if (!task->watched()) return;
  }
  if (writing_ && ready.writable) {
    events_->OnWritable();
    if (!task->watched()) return;
  }
  // If it is still ready, tell it again in the loop's next turn, behind the other watches.
  ready = link_->Look(side_);
  if ((reading_ && ready.readable) || (writing_ && ready.writable)) {
    task->Wake();
  } else {
    due_.StartAt(reading_ ? ready.readable_at : kNever);
  }
}

}  // namespace weft::internal
