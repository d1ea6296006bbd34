// When code of the user's is called: never inside a call that he makes, and so never under his
// locks. Every callback, listener and coroutine of weft's is entered through here.
//
//   on the loop's thread, none of his code on the stack ─► called here and now
//   on the loop's thread, inside his code ─► queued; called when his code has returned to us
//   on any other thread ─► posted to the loop
//   with an executor (CallOptions::executor) ─► handed to that one, which calls it later
//
// So callbacks that register callbacks do not nest, however many there are, and the stack does not
// grow. After kInARow queued ones the loop looks at its sockets before it goes on.
//
// Exempt: a loop that has closed, a process forked from the loop's, and a thread that no loop is
// known for. There nobody could call later, and the callback runs inside the call.
//
// Threads  Here, FreeAt, InCallback, Call…, Later, Execute: any. The rest: the loop's
// Owns     what is queued
// Errors   what the user's code throws is counted and logged (guarded_call.h)
// Ends     the loop's Close calls all that is queued, and what that brings up, see CallAll
#ifndef WEFT_CORE_CALLBACK_QUEUE_H_
#define WEFT_CORE_CALLBACK_QUEUE_H_

#include <cstddef>
#include <deque>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/core/executor.h"
#include "weft/core/guarded_call.h"
#include "weft/core/loop_task.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class EventLoop;

class CallbackQueue final : private LoopTask {
 public:
  using Callback = absl::AnyInvocable<void(bool) &&>;
  // Queued ones that are called without a look at the loop's sockets.
  static constexpr int kInARow = 256;

  explicit CallbackQueue(EventLoop& loop) : loop_(loop) {}
  CallbackQueue(const CallbackQueue&) = delete;
  CallbackQueue& operator=(const CallbackQueue&) = delete;

  // Around code of the user's that runs on the loop. Behind the outermost one what was queued
  // meanwhile is called.
  class Scope {
   public:
    // Null: on no loop, where nothing is queued.
    explicit Scope(CallbackQueue* queue) : queue_(queue) {
      if (queue_ != nullptr) ++queue_->depth_;
    }
    ~Scope() {
      if (queue_ == nullptr || --queue_->depth_ > 0) return;
      if (!queue_->waiting_.empty()) queue_->CallWaiting(kInARow);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    CallbackQueue* const queue_;
  };

  // Around code of the user's that is called on any thread: a callback on an executor, a hook.
  class Elsewhere {
   public:
    Elsewhere();
    ~Elsewhere();
    Elsewhere(const Elsewhere&) = delete;
    Elsewhere& operator=(const Elsewhere&) = delete;
  };

  // Around a closure that a thread of the application runs while it waits for a coroutine: nobody's
  // call is below it on the stack, so what it calls back may wait, too.
  class MayWait {
   public:
    MayWait();
    ~MayWait();
    MayWait(const MayWait&) = delete;
    MayWait& operator=(const MayWait&) = delete;
  };

  // The queue of the loop whose thread this is, or null.
  WEFT_ANY_THREAD static CallbackQueue* Here();
  // Not null: code of the user's may be called here and now, in a Scope of it. `loop`: where it
  // belongs; null: wherever this is.
  WEFT_ANY_THREAD static CallbackQueue* FreeAt(const EventLoop* loop) {
    CallbackQueue* const here = Here();
    return here != nullptr && (loop == nullptr || here->IsOf(*loop)) && here->depth_ == 0 &&
                   here->waiting_.empty()
               ? here
               : nullptr;
  }
  // Code of the user's that weft has called back runs on this thread: it must not be waited in.
  // Handlers on workers do not count.
  WEFT_ANY_THREAD static bool InCallback();

  // Calls `f` by the rule above. `what`: for the log, where it throws.
  template <typename F>
  WEFT_ANY_THREAD static void Call(EventLoop* loop, const char* what, F&& f) {
    if (CallbackQueue* const queue = FreeAt(loop)) {
      const Scope scope(queue);
      std::decay_t<F> own(std::forward<F>(f));  // what it holds goes inside the scope, too
      GuardedCall(what, std::move(own));
    } else {
      Later(
          loop, what, [f = std::forward<F>(f)](bool) mutable { std::move(f)(); }, true);
    }
  }
  // The same where FreeAt said no; `argument` spares a closure.
  WEFT_ANY_THREAD static void Later(EventLoop* loop, const char* what, Callback callback,
                                    bool argument);
  // Hands `f` to `executor`.
  template <typename F>
  WEFT_ANY_THREAD static void Execute(Executor& executor, const char* what, F&& f) {
    GuardedCall("an executor", [&] {
      executor.Execute([what, faults = CallbackFaults::Here(), f = std::forward<F>(f)]() mutable {
        const Elsewhere inside;
        GuardedCall(faults.get(), what, std::move(f));
      });
    });
  }
  // For places where the user's code is on the stack and no loop is asked for. On a loop's thread
  // `f` is queued behind that code; on a worker it is handed to the pool. On the application's
  // threads there is none that could call it later, so it runs here.
  template <typename F>
  WEFT_ANY_THREAD static void CallBehind(const char* what, F&& f) {
    if (Executor* const workers = Executor::OfThread(); Here() == nullptr && workers != nullptr) {
      Execute(*workers, what, std::forward<F>(f));
    } else {
      Call(nullptr, what, std::forward<F>(f));
    }
  }

  // ---- by the loop
  // This thread is the queue's loop's for a scope. Null: it is no loop's.
  class Attached {
   public:
    explicit Attached(CallbackQueue* queue);
    ~Attached();
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

   private:
    CallbackQueue* const outer_;
  };
  // The loop closes. Callbacks that bring up one another end with the last of kGenerations; how
  // many were dropped then.
  static constexpr int kGenerations = 100'000;
  size_t CallAll();

 private:
  struct Waiting {
    const char* what;
    Callback callback;
    bool argument;
  };
  bool IsOf(const EventLoop& loop) const { return &loop_ == &loop; }
  void CallWaiting(int most);
  // LoopTask: goes on with what was left.
  void Run() override;
  void Cancel() override;

  EventLoop& loop_;
  int depth_ = 0;
  bool goes_on_ = false;  // waits for the turn's end
  std::deque<Waiting> waiting_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CALLBACK_QUEUE_H_
