#include "weft/core/callback_queue.h"

#include <optional>
#include <utility>

#include "weft/core/event_loop.h"
#include "weft/core/fork_guard.h"

namespace weft::internal {
namespace {

thread_local CallbackQueue* current_queue = nullptr;
// The process of current_queue: in a forked child no loop comes back to call queued callbacks.
thread_local std::optional<ForkGuard> current_home;
thread_local int elsewhere = 0;

}  // namespace

CallbackQueue* CallbackQueue::Here() { return current_queue; }

bool CallbackQueue::InCallback() {
  return elsewhere > 0 || (current_queue != nullptr && current_queue->depth_ > 0);
}

CallbackQueue::Elsewhere::Elsewhere() { ++elsewhere; }
CallbackQueue::Elsewhere::~Elsewhere() { --elsewhere; }

// Takes back the one that Execute is about to count.
CallbackQueue::MayWait::MayWait() { --elsewhere; }
CallbackQueue::MayWait::~MayWait() { ++elsewhere; }

CallbackQueue::Attached::Attached(CallbackQueue* queue)
    : outer_(std::exchange(current_queue, queue)) {
  if (outer_ == nullptr) current_home.emplace();
}
CallbackQueue::Attached::~Attached() { current_queue = outer_; }

void CallbackQueue::Later(EventLoop* loop, const char* what, Callback callback, bool argument) {
  CallbackQueue* const here = current_queue;
  if (loop != nullptr && (here == nullptr || !here->IsOf(*loop))) {
    // The callback runs even if the loop has closed: then inside Post, on this thread.
    // Asks FreeAt anew on the loop: the loop may itself be inside user code when the task runs.
    loop->Post([loop, what, callback = std::move(callback), argument](TaskFate fate) mutable {
      CallbackQueue* const queue = FreeAt(loop);
      if (queue == nullptr && fate == TaskFate::kRun) {
        Later(loop, what, std::move(callback), argument);
        return;
      }
      const Scope scope(queue);
      GuardedCall(what, [&] { std::move(callback)(argument); });
    });
    return;
  }
  if (here == nullptr || current_home->InForkedChild()) {
    GuardedCall(what, [&] { std::move(callback)(argument); });
    return;
  }
  here->waiting_.push_back({what, std::move(callback), argument});
}

// A callback may add others while it runs; they are called behind those that wait already.
void CallbackQueue::CallWaiting(int most) {
  ++depth_;
  for (; most > 0 && !waiting_.empty(); --most) {
    // Taken out before it is called, since it may push to `waiting_`.
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    GuardedCall(next.what, [&] { std::move(next.callback)(next.argument); });
  }
  --depth_;
  // The rest goes on at the end of the turn, so that callbacks that register others do not hold up
  // the loop.
  if (waiting_.empty() || goes_on_) return;
  goes_on_ = true;
  loop_.AssertInLoop();
  loop_.RunAtEndOfTurn(this);
}

void CallbackQueue::Run() {
  goes_on_ = false;
  // With a depth the code on the stack calls them when it returns (Scope's destructor).
  if (depth_ == 0 && !waiting_.empty()) CallWaiting(kInARow);
}

// Callbacks that still wait are called when the loop has closed.
void CallbackQueue::Cancel() { goes_on_ = false; }

size_t CallbackQueue::CallAll() {
  // A generation is what waits at its beginning. Callbacks added meanwhile are the next one, so two
  // that register each other for ever do end.
  for (int i = 0; i < kGenerations && !waiting_.empty(); ++i) {
    CallWaiting(static_cast<int>(waiting_.size()));
  }
  return std::exchange(waiting_, {}).size();
}

}  // namespace weft::internal
