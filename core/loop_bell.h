// Calls an object on its loop when other threads have done something: one call for all rings since
// the last one.
//
//   bell_ = std::make_shared<LoopBell>(loop, [this] { … });   on the loop
//   bell->Ring();                                             anywhere; its holders keep it alive
//
// Threads  Ring: any. Made and silenced on the loop
// Owns     itself while it is posted; keeps its loop
// Ends     after Silence it calls nobody; one of a loop that has closed calls nobody
#ifndef WEFT_CORE_LOOP_BELL_H_
#define WEFT_CORE_LOOP_BELL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "weft/core/event_loop.h"
#include "weft/core/loop_task.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class LoopBell final : public std::enable_shared_from_this<LoopBell>, private LoopTask {
 public:
  LoopBell(std::shared_ptr<EventLoop> loop, std::function<void()> answer)
      : loop_(std::move(loop)), answer_(std::move(answer)) {}

  // Allocates nothing. A ring that finds the bell rung does not post it again: the call that is
  // about to come sees what was done before this ring.
  WEFT_ANY_THREAD void Ring() {
    if (rung_.exchange(true, std::memory_order_acq_rel)) return;
    self_ = shared_from_this();
    loop_->Post(this);
  }

  // Not from inside the answer.
  void Silence() WEFT_LOOP_ONLY { answer_ = nullptr; }

 private:
  // LoopTask
  void Run() override {
    loop_->AssertInLoop();
    const std::shared_ptr<LoopBell> self = BeStill();
    if (answer_ != nullptr) answer_();
  }
  void Cancel() override { BeStill(); }

  // Lets it be rung again. Done before the answer looks: a ring from here on brings another call.
  std::shared_ptr<LoopBell> BeStill() {
    std::shared_ptr<LoopBell> self = std::move(self_);
    rung_.exchange(false, std::memory_order_acq_rel);
    return self;
  }

  const std::shared_ptr<EventLoop> loop_;
  std::function<void()> answer_ WEFT_LOOP_OWNED;
  std::atomic<bool> rung_{false};
  std::shared_ptr<LoopBell> self_;  // between the ring and its call, by whoever is at it
};

}  // namespace weft::internal

#endif  // WEFT_CORE_LOOP_BELL_H_
