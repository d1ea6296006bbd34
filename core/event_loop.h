// One thread's reactor: file descriptors, timers and posted tasks, in turns.
//
// A turn: poll (callbacks of ready descriptors, due timers) → posted tasks, oldest first → the
// turn's end (what was scheduled by RunAtEndOfTurn: batches handed over, output flushed) → sleep if
// there is nothing to do.
//
// Post is the only door for other threads. It wakes the loop through the notification pipe, only
// when the queue was empty and the loop sleeps. A task posted to a closing loop is told so
// (Cancel), never dropped.
//
// A loop that is made to be stepped (EventLoopOptions::stepped) has neither thread nor descriptors:
// its owner's thread runs it turn by turn, and is the loop's thread for that long. It watches no
// sockets.
//
// Callbacks of the user's on its thread go through its CallbackQueue: a callback that registers
// another returns before that one is called.
//
// Threads  Post, Stop, InLoop: any. Run: the thread that becomes the loop's. Ready, Step,
//          CloseStepped: the thread that steps it. Everything else: the loop's thread
// Owns     its event_base (without locks), its notification pipe, one timerfd for all its timers
// Errors   Create: RESOURCE_EXHAUSTED that names what has run out; see core/event_base.h for the
//          one way in which libevent could still end the process
// Ends     Stop lets the turn finish; then every queued task is run or cancelled, every callback
//          that waits is called, and Run returns. It waits for nobody: tasks and callbacks that
//          bring one another up while it closes go on for so many generations (kClosingRounds of
//          tasks, CallbackQueue::kGenerations of callbacks), and what comes behind them is dropped
//          and logged
#ifndef WEFT_CORE_EVENT_LOOP_H_
#define WEFT_CORE_EVENT_LOOP_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/btree_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "weft/core/block_pool.h"
#include "weft/core/callback_faults.h"
#include "weft/core/callback_queue.h"
#include "weft/core/clock.h"
#include "weft/core/fd_slots.h"
#include "weft/core/fork_guard.h"
#include "weft/core/input_budget.h"
#include "weft/core/log.h"
#include "weft/core/loop_task.h"
#include "weft/core/notify_pipe.h"
#include "weft/core/output_budget.h"
#include "weft/core/post_queue.h"
#include "weft/core/random_source.h"
#include "weft/core/spin_policy.h"
#include "weft/core/steppable.h"
#include "weft/core/thread_contract.h"
#include "weft/core/thread_log.h"

struct event;
struct event_base;

namespace weft::internal {

class FdWatch;
class Timer;

struct EventLoopOptions {
  std::string name = "loop";
  const Clock* clock = &Clock::System();
  Log log;
  // The longest poll before sleep, see SpinPolicy. 0: sleep at once.
  Nanos spin = std::chrono::microseconds(50);
  // The budget of the connections on this loop and, mostly, on others; may be null.
  std::shared_ptr<OutputBudget> output_budget = nullptr;
  // Counts and logs exceptions of the user's callbacks. Null: the loop's own, which goes to `log`.
  std::shared_ptr<CallbackFaults> faults = nullptr;
  std::shared_ptr<InputBudget> input_budget = nullptr;
  // The source of random numbers on its thread. Null: a source of its own, seeded by the kernel.
  std::shared_ptr<RandomSource> random = nullptr;
  // Its owner steps it; it has no descriptors.
  bool stepped = false;
};

// Tells a posted closure why it is called: to run, or because the loop has closed.
enum class TaskFate : uint8_t { kRun, kCancelled };

class EventLoop final : public Steppable, private ClockWatcher {
 public:
  static absl::StatusOr<std::unique_ptr<EventLoop>> Create(EventLoopOptions options);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs turns on the calling thread until Stop. Once in a loop's life.
  void Run() WEFT_EXCLUDES(on_loop);

  // Steppable, for a stepped one: a step is a turn.
  bool Ready() const override;
  MonoTime next_step() const override;
  void Step() override;
  // Ends a stepped one as Run does when it returns. Not inside its turn; idempotent.
  void CloseStepped() WEFT_EXCLUDES(on_loop);
  bool stepped() const { return options_.stepped; }

  // The calling thread is the loop's for a scope. Around each step; and between the steps, of a
  // loop beside those that do the work: what asks for Current then finds that it must not wait.
  class Entered {
   public:
    explicit Entered(EventLoop& loop);
    ~Entered();
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    EventLoop* const outer_;
    const CallbackQueue::Attached callbacks_;
    const CallbackFaults::Scope faults_;
    const ThreadLog lines_;
    const RandomSource::Scope random_;
  };

  // Asks Run to return after the turn. Idempotent; before Run it makes Run return at once.
  WEFT_ANY_THREAD void Stop();

  // `task` runs on the loop, after everything this thread posted before. From the loop itself: this
  // turn or the next. When the loop has closed, and in a process forked
  // from its own, task->Cancel() runs before Post returns.
  WEFT_ANY_THREAD void Post(LoopTask* task);

  // The same for a closure; costs an allocation.
  WEFT_ANY_THREAD void Post(absl::AnyInvocable<void(TaskFate) &&> closure);

  WEFT_ANY_THREAD bool InLoop() const { return Current() == this; }
  // The loop whose thread this is, or nullptr.
  WEFT_ANY_THREAD static EventLoop* Current();

  void AssertInLoop() const WEFT_ASSERT_CAPABILITY(on_loop);

  // Runs `task` at the end of this turn (of the next, when called at the end of one).
  void RunAtEndOfTurn(LoopTask* task) WEFT_LOOP_ONLY { turn_end_.Append(task); }

  // The time, read once in a poll: the same for all events that came together.
  MonoTime now() WEFT_LOOP_ONLY {
    if (!now_fresh_) {
      now_ = clock().Now();
      now_fresh_ = true;
    }
    return now_;
  }

  const Clock& clock() const { return *options_.clock; }
  // False: a clock moved by hand, which rings no timer until somebody moves it.
  bool on_system_clock() const { return system_clock_; }
  const Log& log() const { return options_.log; }
  const std::string& name() const { return options_.name; }
  const std::shared_ptr<OutputBudget>& output_budget() const { return options_.output_budget; }
  const std::shared_ptr<CallbackFaults>& faults() const { return options_.faults; }
  // For the bytes of this loop's connections, of any thread.
  WEFT_ANY_THREAD BlockPool& blocks() { return blocks_; }
  const std::shared_ptr<InputBudget>& input_budget() const { return options_.input_budget; }
  // Its runtime's.
  WEFT_ANY_THREAD RandomSource& random() { return *options_.random; }
  // libevent's; for core/ alone.
  event_base* base() WEFT_LOOP_ONLY { return base_; }

  // Wake-up bytes written, turns run and sleeps, since the start: for tests and measurements.
  struct Counts {
    int64_t wakes = 0, turns = 0, sleeps = 0;
  };
  WEFT_ANY_THREAD Counts counts() const;

 private:
  friend class FdWatch;
  friend class Timer;
  struct TimerKey {
    MonoTime at;
    uint64_t sequence;
    Timer* timer;
    bool operator<(const TimerKey& o) const {
      return at != o.at ? at < o.at : sequence < o.sequence;
    }
  };

  explicit EventLoop(EventLoopOptions options);
  absl::Status Open() WEFT_LOOP_ONLY;
  // ClockWatcher: wakes the loop, which then looks at its timers.
  void OnClockMoved(absl::AnyInvocable<void() &&> seen) override;
  void AnswerAfter(int turns, absl::AnyInvocable<void() &&> seen);
  // A callback runs: the loop is awake, and a Post need not wake it.
  void Woken() WEFT_LOOP_ONLY {
    if (asleep_.load(std::memory_order_relaxed)) asleep_.store(false, std::memory_order_relaxed);
  }
  void RunPosted() WEFT_LOOP_ONLY;
  void RunTurnEnd() WEFT_LOOP_ONLY;
  void Wait() WEFT_LOOP_ONLY;
  bool SpinForEvents(Nanos budget) WEFT_LOOP_ONLY;
  void Poll(bool block) WEFT_LOOP_ONLY;
  void Close() WEFT_LOOP_ONLY;
  void CancelTasks() WEFT_LOOP_ONLY;

  void AddTimer(Timer* timer) WEFT_LOOP_ONLY;
  void RemoveTimer(Timer* timer) WEFT_LOOP_ONLY;
  void RunDueTimers() WEFT_LOOP_ONLY;
  void ArmTimerFd() WEFT_LOOP_ONLY;

  static void OnNotified(int fd, short what, void* self);
  static void OnTimerFd(int fd, short what, void* self);

  // Fixed at construction.
  const ForkGuard home_;
  const EventLoopOptions options_;  // with faults and a source of chance
  const bool system_clock_;

  // The loop's own.
  CallbackQueue callbacks_{*this};
  event_base* base_ WEFT_LOOP_OWNED = nullptr;
  FdSlots slots_ WEFT_LOOP_OWNED;
  event* notify_event_ WEFT_LOOP_OWNED = nullptr;
  event* timer_event_ WEFT_LOOP_OWNED = nullptr;
  int timer_fd_ WEFT_LOOP_OWNED = -1;
  absl::btree_set<TimerKey> timers_ WEFT_LOOP_OWNED;
  uint64_t timer_sequence_ WEFT_LOOP_OWNED = 0;
  MonoTime armed_for_ WEFT_LOOP_OWNED = kNever;
  TaskList turn_end_ WEFT_LOOP_OWNED;
  SpinPolicy spin_ WEFT_LOOP_OWNED;
  MonoTime now_ WEFT_LOOP_OWNED{};
  bool now_fresh_ WEFT_LOOP_OWNED = false;
  bool active_ WEFT_LOOP_OWNED = false;  // a callback ran since the last poll began
  std::atomic<int64_t> wakes_{0}, turns_{0}, sleeps_{0};

  // Any thread's.
  BlockPool blocks_;
  alignas(64) PostQueue posted_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stopping_{false};
  NotifyPipe pipe_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_EVENT_LOOP_H_
