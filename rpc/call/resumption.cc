#include "weft/rpc/call/resumption.h"

#include <utility>

#include "weft/core/callback_queue.h"
#include "weft/core/coro_stack.h"
#include "weft/rpc/call/resume_ticket.h"

namespace weft::internal {
namespace {

constexpr char kWhat[] = "a coroutine";

}  // namespace

Resumption::~Resumption() {
  if (ticket_ != nullptr) ticket_->TakeBack();
}

void Resumption::Suspend(std::coroutine_handle<> awaiter, Executor* wish) {
  awaiter_ = awaiter;
  executor_ = wish != nullptr ? wish : Executor::Current();
  scope_ = CallScope::Current();
}

void Resumption::Go(EventLoop* loop) {
  // Fast path: no other code of the application is on this thread's stack, so no ticket is needed.
  // The scope and the handle are taken out first, for resuming may destroy this object.
  if (executor_ == nullptr) {
    if (CallbackQueue* const queue = CallbackQueue::FreeAt(loop)) {
      const CallbackQueue::Scope scope(queue);
      GuardedCall(kWhat, [&] {
        const CallScope::Enter enter(std::move(scope_));
        CoroStack::Resume(awaiter_);
      });
      return;
    }
  }
  auto ticket = std::make_shared<ResumeTicket>(awaiter_, executor_, std::move(scope_));
  ticket_ = ticket;
  ResumeTicket::Go(std::move(ticket), loop);  // may destroy this object
}

}  // namespace weft::internal
