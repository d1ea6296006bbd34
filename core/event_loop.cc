#include "weft/core/event_loop.h"

#include <errno.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <utility>

#include <event2/event.h>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/event_base.h"
#include "weft/core/exhausted.h"
#include "weft/core/guarded_call.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

// Rounds of callbacks in one turn that does not sleep, before posted tasks and the turn's end have
// theirs.
constexpr int kMaxRounds = 8;

// Generations of tasks of the turn's end that are cancelled while the loop closes.
constexpr int kClosingRounds = 1'000;

thread_local EventLoop* current_loop = nullptr;

class ClosureTask final : public LoopTask {
 public:
  explicit ClosureTask(absl::AnyInvocable<void(TaskFate) &&> closure)
      : closure_(std::move(closure)) {}
  void Run() override { Finish(TaskFate::kRun); }
  void Cancel() override { Finish(TaskFate::kCancelled); }

 private:
  // Deletes itself: the queue holds a plain pointer, and exactly one of Run and Cancel is called.
  void Finish(TaskFate fate) {
    GuardedCall("a posted closure", [&] { std::move(closure_)(fate); });
    delete this;
  }
  absl::AnyInvocable<void(TaskFate) &&> closure_;
};

EventLoopOptions Completed(EventLoopOptions options) {
  if (options.faults == nullptr) options.faults = std::make_shared<CallbackFaults>(options.log);
  if (options.random == nullptr) {
    options.random = std::make_shared<RandomSource>(KernelRandomSeed());
  }
  return options;
}

}  // namespace

EventLoop* EventLoop::Current() { return current_loop; }

void EventLoop::AssertInLoop() const { WEFT_DCHECK(InLoop()); }

EventLoop::EventLoop(EventLoopOptions options)
    : options_(Completed(std::move(options))),
      system_clock_(options_.clock == &Clock::System()),
      spin_(options_.spin) {}

// The loop's thread does not run yet (Create) or any more (destructor), so nothing else touches
// what is its own.
absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create(EventLoopOptions options)
    WEFT_NO_THREAD_ANALYSIS {
  std::unique_ptr<EventLoop> loop(new EventLoop(std::move(options)));
  absl::Status opened = loop->Open();
  if (!opened.ok()) return opened;
  return loop;
}

absl::Status EventLoop::Open() {
  if (options_.stepped) return absl::OkStatus();
  const ThreadLog lines(options_.log);
  if (absl::Status s = pipe_.Open(); !s.ok()) return s;
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (timer_fd_ < 0) return Exhausted::Descriptors(errno, "event loop: cannot make a timerfd");
  // Last: the descriptors that it needs are looked for just before.
  absl::StatusOr<event_base*> base = EventBase::New();
  if (!base.ok()) return base.status();
  base_ = *base;
  notify_event_ = event_new(base_, pipe_.read_fd(), EV_READ | EV_PERSIST, &OnNotified, this);
  timer_event_ = event_new(base_, timer_fd_, EV_READ | EV_PERSIST, &OnTimerFd, this);
  if (notify_event_ == nullptr || timer_event_ == nullptr ||
      event_add(notify_event_, nullptr) != 0 || event_add(timer_event_, nullptr) != 0) {
    return Exhausted::Descriptors(errno != 0 ? errno : ENOMEM,
                                  "event loop: cannot watch its notification pipe and timer");
  }
  return absl::OkStatus();
}

EventLoop::~EventLoop() WEFT_NO_THREAD_ANALYSIS {
  if (home_.InForkedChild()) return;  // the parent's loop goes on with the same epoll descriptor
  const ThreadLog lines(options_.log);
  CancelTasks();  // for a loop that never ran
  if (notify_event_ != nullptr) event_free(notify_event_);
  if (timer_event_ != nullptr) event_free(timer_event_);
  if (base_ != nullptr) event_base_free(base_);
  if (timer_fd_ >= 0) ::close(timer_fd_);
}

void EventLoop::Run() {
  WEFT_DCHECK(current_loop == nullptr && !options_.stepped);
  const Entered entered(*this);
  AssertInLoop();
  // A clock moved by hand waits for its watchers, so a loop is one only while it turns.
  clock().Watch(this);
  while (!stopping_.load(std::memory_order_acquire)) {
    Wait();
    RunPosted();
    RunTurnEnd();
    // One thread writes the counter: a plain store, and no locked instruction in each turn.
    turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  Close();
  clock().Unwatch(this);
}

EventLoop::Entered::Entered(EventLoop& loop)
    : outer_(std::exchange(current_loop, &loop)),
      callbacks_(&loop.callbacks_),
      faults_(loop.options_.faults),
      lines_(loop.options_.log),
      random_(*loop.options_.random) {}

EventLoop::Entered::~Entered() { current_loop = outer_; }

// Between the turns no thread is the loop's, so the one that steps may look.
bool EventLoop::Ready() const WEFT_NO_THREAD_ANALYSIS {
  return !posted_.empty() || !turn_end_.empty() || next_step() <= clock().Now();
}

MonoTime EventLoop::next_step() const WEFT_NO_THREAD_ANALYSIS {
  return timers_.empty() ? kNever : timers_.begin()->at;
}

void EventLoop::Step() {
  const Entered entered(*this);
  AssertInLoop();
  now_fresh_ = false;
  RunDueTimers();
  RunPosted();
  RunTurnEnd();
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void EventLoop::CloseStepped() {
  const Entered entered(*this);
  AssertInLoop();
  Close();
}

void EventLoop::Close() {
  CancelTasks();
  if (const size_t left = callbacks_.CallAll(); left > 0) {
    options_.log.Error(absl::StrCat("loop ", options_.name,
                                    ": callbacks bring up one another while it closes; ", left,
                                    " were dropped"));
  }
}

void EventLoop::CancelTasks() {
  RunTurnEnd();
  // From here on Post cancels its task inside, so these are the last ones.
  for (TaskList last = posted_.Close(); LoopTask* task = last.Pop();) task->Cancel();
  for (auto next = timers_.begin(); next != timers_.end();) {
    const TimerKey key = *next;
    if (key.timer->at_close_ == Timer::AtClose::kFires) {
      timers_.erase(next);
      key.timer->Fire();  // may start and destroy others
    }
    // By the key and not the iterator, which what Fire() started or destroyed may have made
    // invalid.
    next = timers_.upper_bound(key);
  }
  RunTurnEnd();
  for (int round = 0; round < kClosingRounds && !turn_end_.empty(); ++round) {
    TaskList tasks = std::exchange(turn_end_, TaskList());
    while (LoopTask* task = tasks.Pop()) task->Cancel();
  }
  if (turn_end_.empty()) return;
  turn_end_ = TaskList();
  options_.log.Error(absl::StrCat("loop ", options_.name,
                                  ": tasks schedule one another while it closes; dropped"));
}

void EventLoop::Stop() {
  stopping_.store(true, std::memory_order_release);
  Post([](TaskFate) {});  // wakes it
}

void EventLoop::Post(LoopTask* task) {
  if (home_.InForkedChild()) {  // nobody would run it, and the pipe is the parent's
    task->Cancel();
    return;
  }
  switch (posted_.Push(task)) {
    case PostQueue::Pushed::kFirst:
      // Pairs with Wait, which stores `asleep_` and then looks for tasks. All four are sequentially
      // consistent: either the loop sees this task, or this thread sees that it sleeps. The
      // exchange lets one thread of several write the byte that wakes it.
      if (asleep_.load(std::memory_order_seq_cst) &&
          asleep_.exchange(false, std::memory_order_seq_cst) && pipe_.Signal()) {
        wakes_.fetch_add(1, std::memory_order_relaxed);
      }
      return;
    // The thread whose push was the first has looked, or will.
    case PostQueue::Pushed::kBehind:
      return;
    case PostQueue::Pushed::kClosed:
      task->Cancel();
      return;
  }
}

void EventLoop::Post(absl::AnyInvocable<void(TaskFate) &&> closure) {
  Post(new ClosureTask(std::move(closure)));
}

void EventLoop::OnClockMoved(absl::AnyInvocable<void() &&> seen) {
  // The first may run in a turn that has polled already; before the third there were two whole
  // polls.
  AnswerAfter(3, std::move(seen));
}

void EventLoop::AnswerAfter(int turns, absl::AnyInvocable<void() &&> seen) {
  Post([this, turns, answer = std::move(seen)](TaskFate fate) mutable {
    if (turns > 1 && fate == TaskFate::kRun) {
      AnswerAfter(turns - 1, std::move(answer));
    } else {
      std::move(answer)();
    }
  });
}

void EventLoop::RunPosted() {
  if (posted_.empty()) return;
  now_fresh_ = false;
  // All at once: what these post comes in the next turn, so tasks that post tasks do not keep the
  // loop from its sockets.
  for (TaskList tasks = posted_.TakeAll(); LoopTask* task = tasks.Pop();) task->Run();
}

void EventLoop::RunTurnEnd() {
  // Tasks that are scheduled by these wait for the next round. There are two rounds at most, since
  // a flush may follow a batch.
  for (int round = 0; round < 2 && !turn_end_.empty(); ++round) {
    TaskList tasks = std::exchange(turn_end_, TaskList());
    while (LoopTask* task = tasks.Pop()) task->Run();
  }
}

void EventLoop::Wait() {
  if (!posted_.empty() || !turn_end_.empty() || stopping_.load(std::memory_order_acquire)) {
    Poll(false);
    return;
  }
  if (!system_clock_) {
    // A clock set by hand neither ends a spin nor rings the timerfd.
    if (!timers_.empty() && timers_.begin()->at <= clock().Now()) {
      Poll(false);
      return;
    }
  } else {
    const Nanos budget = spin_.Budget();
    if (budget > Nanos::zero() && SpinForEvents(budget)) return;
  }
  const MonoTime idle_since = now_fresh_ ? now_ : clock().Now();
  // First announced, then looked once more: see Post.
  asleep_.store(true, std::memory_order_seq_cst);
  if (posted_.empty()) {
    sleeps_.store(sleeps_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    Poll(true);
  }
  asleep_.store(false, std::memory_order_relaxed);
  spin_.Slept(now() - idle_since);
}

bool EventLoop::SpinForEvents(Nanos budget) {
  MonoTime before = clock().Now();
  const MonoTime until = before + budget;
  for (;;) {
    // Give the core first to the thread that will produce the event: without this, two threads that
    // share a core run at half their speed.
    ::sched_yield();
    const MonoTime after = clock().Now();
    const bool crowded = spin_.Yielded(after - before);
    Poll(false);
    if (active_ || !posted_.empty()) {
      if (!crowded) spin_.Caught();
      return true;
    }
    if (crowded) return false;
    before = clock().Now();
    if (before >= until) {
      spin_.Missed();
      return false;
    }
  }
}

void EventLoop::Poll(bool block) {
  now_fresh_ = false;
  const int once = EVLOOP_NO_EXIT_ON_EMPTY | EVLOOP_ONCE;
  if (block) {
    active_ = false;
    event_base_loop(base_, once);
  } else {
    // Events that come while callbacks run still belong to this turn, so that batches grow under
    // load. The number of rounds is bounded: EVLOOP_NONBLOCK alone would go on for as long as
    // anything is ready, and tasks would wait.
    bool any = false;
    for (int round = 0; round < kMaxRounds; ++round) {
      active_ = false;
      event_base_loop(base_, once | EVLOOP_NONBLOCK);
      if (!active_) break;
      any = true;
    }
    active_ = any;
  }
  if (!system_clock_) RunDueTimers();  // a clock set by hand does not move the timerfd
}

void EventLoop::OnNotified(int, short, void* self) {
  auto* loop = static_cast<EventLoop*>(self);
  loop->AssertInLoop();
  loop->Woken();
  // Before the posted tasks run: a Signal that comes after the drain writes a new byte.
  loop->pipe_.Drain();
}

void EventLoop::OnTimerFd(int fd, short, void* self) {
  auto* loop = static_cast<EventLoop*>(self);
  loop->AssertInLoop();
  loop->Woken();
  uint64_t expirations;
  if (::read(fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) return;
  // The timerfd has rung and is not armed any more, so the next timer has to set it whatever its
  // time.
  loop->armed_for_ = kNever;
  loop->RunDueTimers();
}

void EventLoop::AddTimer(Timer* timer) {
  // Timers of the same time fire in the order in which they were started, and have keys of their
  // own.
  timer->sequence_ = ++timer_sequence_;
  timers_.insert(TimerKey{timer->at_, timer->sequence_, timer});
  ArmTimerFd();
}

void EventLoop::RemoveTimer(Timer* timer) {
  timers_.erase(TimerKey{timer->at_, timer->sequence_, timer});
}

void EventLoop::RunDueTimers() {
  const MonoTime due = clock().Now();
  const uint64_t last =
      timer_sequence_;  // one that restarts itself for now waits for the next turn
  auto next = timers_.begin();
  while (next != timers_.end() && next->at <= due) {
    if (next->sequence > last) {  // but does not keep later ones from this turn
      ++next;
      continue;
    }
    Timer* timer = next->timer;
    timers_.erase(next);
    active_ = true;
    timer->Fire();
    // From the first again: the callback may have added and removed any timers.
    next = timers_.begin();
  }
  ArmTimerFd();
}

void EventLoop::ArmTimerFd() {
  // A later time is not set: the descriptor rings once for nothing, which costs less than a system
  // call with each timer that moves.
  if (!system_clock_ || timers_.empty() || timers_.begin()->at >= armed_for_) return;
  armed_for_ = timers_.begin()->at;
  // An absolute time of zero would disarm it; a past one fires at once.
  const int64_t ns = std::max<int64_t>(1, armed_for_.time_since_epoch().count());
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(ns / 1'000'000'000);
  spec.it_value.tv_nsec = static_cast<long>(ns % 1'000'000'000);
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

EventLoop::Counts EventLoop::counts() const {
  return {wakes_.load(std::memory_order_relaxed), turns_.load(std::memory_order_relaxed),
          sleeps_.load(std::memory_order_relaxed)};
}

}  // namespace weft::internal
