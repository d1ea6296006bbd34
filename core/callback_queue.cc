#include "weft/core/callback_queue.h"

#include <optional>

#include "weft/core/event_loop.h"
#include "weft/core/fork_guard.h"

namespace weft {
namespace {

thread_local CallbackQueue* current_queue = nullptr;
// Of current_queue: in a forked child nobody comes back to call what is queued.
thread_local std::optional<ForkGuard> current_home;
thread_local int elsewhere = 0;

}  // namespace

CallbackQueue* CallbackQueue::Here() { return current_queue; }

bool CallbackQueue::InCallback() {
  return elsewhere > 0 || (current_queue != nullptr && current_queue->depth_ > 0);
}

CallbackQueue::Elsewhere::Elsewhere() { ++elsewhere; }
CallbackQueue::Elsewhere::~Elsewhere() { --elsewhere; }

void CallbackQueue::Attach() {
  current_queue = this;
  current_home.emplace();
}
void CallbackQueue::Detach() { current_queue = nullptr; }

void CallbackQueue::Later(EventLoop* loop, const char* what, Callback callback, bool argument) {
  CallbackQueue* const here = current_queue;
  if (loop != nullptr && (here == nullptr || !here->IsOf(*loop))) {
    // Whatever the task's fate: a closed loop calls inside.
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

// What is called registers more, which comes behind the rest.
void CallbackQueue::CallWaiting(int most) {
  ++depth_;
  for (; most > 0 && !waiting_.empty(); --most) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    GuardedCall(next.what, [&] { std::move(next.callback)(next.argument); });
  }
  --depth_;
  if (waiting_.empty() || goes_on_) return;
  goes_on_ = true;
  loop_.AssertInLoop();
  loop_.RunAtEndOfTurn(this);
}

void CallbackQueue::Run() {
  goes_on_ = false;
  if (depth_ == 0 && !waiting_.empty()) CallWaiting(kInARow);
}

// What waits is called when the loop has closed.
void CallbackQueue::Cancel() { goes_on_ = false; }

size_t CallbackQueue::CallAll() {
  for (int i = 0; i < kGenerations && !waiting_.empty(); ++i) {
    CallWaiting(static_cast<int>(waiting_.size()));
  }
  return std::exchange(waiting_, {}).size();
}

}  // namespace weft
