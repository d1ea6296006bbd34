#include "weft/rpc/mesh/simulated_node.h"

#include <utility>

#include "weft/core/callback_queue.h"
#include "weft/core/check.h"
#include "weft/core/loop_group.h"
#include "weft/core/random_bits.h"
#include "weft/core/step_finisher.h"

namespace weft {

using namespace internal;

SimulatedNode::SimulatedNode(std::string name, Program program, RuntimeOptions runtime,
                             SimulatedNetwork& network, const MonoTime& time, MonoTime start)
    : name_(std::move(name)),
      program_(std::move(program)),
      options_(std::move(runtime)),
      wires_(network),
      start_(start),
      clock_(time) {}

SimulatedNode::~SimulatedNode() { WEFT_DCHECK(state_ == State::kDown); }

void SimulatedNode::Start() {
  WEFT_DCHECK(MayGo(state_, State::kUp) && state_ == State::kDown);
  ++incarnation_;
  steps_ = std::make_shared<StepSet>();
  RuntimeOptions options = options_;
  options.clock = &clock_;
  options.steps = steps_;
  // Each start gets its own series of random numbers. `| 1`: 0 would leave the seed to the kernel.
  uint64_t seed = options_.seed + incarnation_;
  options.seed = NextRandomBits(&seed) | 1;
  // Cannot fail: a simulated runtime needs no threads or descriptors.
  runtime_ = *Runtime::Create(std::move(options));
  network_ = wires_.AddHost(name_);
  state_ = State::kUp;
  running_ = program_(*this);
}

void SimulatedNode::SetPaused(bool paused) {
  if (state_ == State::kDown) return;
  state_ = paused ? State::kPaused : State::kUp;
}

void SimulatedNode::After(absl::Duration d, std::function<void()> f) {
  if (state_ == State::kDown) return;
  const uint64_t number = ++last_timer_;
  EventLoop& loop = *runtime_->loops().At(0).loop;
  // Between the steps no thread is the loop's; for the timer this one is.
  const EventLoop::Entered entered(loop);
  loop.AssertInLoop();
  auto timer = std::make_unique<Timer>(loop, [this, number, &loop, f = std::move(f)] {
    // Destroys `f`, and the objects that it holds, after the call.
    const std::unique_ptr<Timer> fired = std::move(timers_[number]);
    timers_.erase(number);
    CallbackQueue::Call(&loop, "a simulated node's timer", f);
  });
  timer->StartAfter(ToNanos(d));
  timers_.emplace(number, std::move(timer));
}

void SimulatedNode::Kill(Death death) {
  if (state_ == State::kDown) return;
  state_ = State::kDown;
  // Before anything is destroyed: the others must not see how the program winds down.
  wires_.RemoveHost(name_, death);
  timers_.clear();
  FinishQuietly();
  network_.reset();
  // The end's timers ran ahead on this node's clock. The next start begins at the simulation's time
  // again.
  clock_.JumpBack();
}

void SimulatedNode::FinishQuietly() {
  // Servers and channels wait for their ends when they are destroyed. The finisher runs their steps
  // meanwhile and jumps the clock to the next timer.
  StepFinisher finisher(*steps_, [this] {
    const MonoTime next = steps_->next_step();
    clock_.JumpTo(next == kNever ? clock_.Now() : next);
    return next != kNever;
  });
  running_.reset();
  finisher.RunUntil([this] { return runtime_.use_count() == 1; });
  if (runtime_.use_count() > 1) {
    runtime_->log().Error(
        absl::StrCat("simulated node ", name_,
                     ": its program was killed, and something still holds its "
                     "runtime; what a program makes must go with what it returns"));
  }
  runtime_.reset();
}

}  // namespace weft
