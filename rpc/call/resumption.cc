#include "weft/rpc/call/resumption.h"

#include <atomic>
#include <utility>

#include "weft/core/callback_queue.h"
#include "weft/core/coro_stack.h"

namespace weft::call_internal {
namespace {

constexpr char kWhat[] = "a coroutine";

void ResumeIn(std::shared_ptr<CallScope> scope, std::coroutine_handle<> coroutine) {
  const CallScope::Enter enter(std::move(scope));
  CoroStack::Resume(coroutine);
}

}  // namespace

// A resuming that is queued; taken by whoever comes first, the queue or the coroutine's end.
class Resumption::Ticket {
 public:
  Ticket(std::coroutine_handle<> awaiter, std::shared_ptr<CallScope> scope)
      : awaiter_(awaiter.address()), scope_(std::move(scope)) {}
  void Go() {
    void* const awaiter = awaiter_.exchange(nullptr, std::memory_order_acq_rel);
    if (awaiter == nullptr) return;
    ResumeIn(std::move(scope_), std::coroutine_handle<>::from_address(awaiter));
  }
  void TakeBack() { awaiter_.store(nullptr, std::memory_order_release); }

 private:
  std::atomic<void*> awaiter_;
  std::shared_ptr<CallScope> scope_;
};

// The closure that an executor is handed. Destroyed without having run, by an executor that has
// stopped, it resumes the coroutine there: nobody else would, and its frame would be lost.
class Resumption::Runner {
 public:
  explicit Runner(std::shared_ptr<Ticket> ticket) : ticket_(std::move(ticket)) {}
  Runner(Runner&&) = default;
  ~Runner() {
    if (ticket_ != nullptr) GuardedCall(kWhat, [this] { ticket_->Go(); });
  }
  void operator()() { std::exchange(ticket_, nullptr)->Go(); }

 private:
  std::shared_ptr<Ticket> ticket_;
};

Resumption::~Resumption() {
  if (ticket_ != nullptr) ticket_->TakeBack();
}

void Resumption::Suspend(std::coroutine_handle<> awaiter, Executor* wish) {
  awaiter_ = awaiter;
  executor_ = wish != nullptr ? wish : Executor::Current();
  scope_ = CallScope::Current();
}

void Resumption::Go(EventLoop* loop) {
  if (executor_ == nullptr) {
    if (CallbackQueue* const queue = CallbackQueue::FreeAt(loop)) {
      const CallbackQueue::Scope scope(queue);
      GuardedCall(kWhat, [&] { ResumeIn(std::move(scope_), awaiter_); });
      return;
    }
  }
  Executor* const executor = executor_;
  auto ticket = std::make_shared<Ticket>(awaiter_, std::move(scope_));
  ticket_ = ticket;
  // From here on this may be gone.
  if (executor != nullptr) {
    CallbackQueue::Execute(*executor, kWhat, Runner(std::move(ticket)));
  } else {
    CallbackQueue::Later(
        loop, kWhat, [ticket = std::move(ticket)](bool) { ticket->Go(); }, true);
  }
}

}  // namespace weft::call_internal
