#include "weft/rpc/call/resume_ticket.h"

#include <utility>

#include "weft/core/callback_queue.h"
#include "weft/core/coro_stack.h"

namespace weft::internal {
namespace {

constexpr char kWhat[] = "a coroutine";

}  // namespace

// The closure that an executor is handed. A stopped executor destroys it without running it; then
// it resumes the coroutine there, for nobody else would, and its frame would be lost.
class ResumeTicket::Runner {
 public:
  explicit Runner(std::shared_ptr<ResumeTicket> ticket) : ticket_(std::move(ticket)) {}
  Runner(Runner&&) = default;
  ~Runner() {
    if (ticket_ != nullptr) GuardedCall(kWhat, [this] { ticket_->Resume(); });
  }
  void operator()() { std::exchange(ticket_, nullptr)->Resume(); }

 private:
  std::shared_ptr<ResumeTicket> ticket_;
};

ResumeTicket::ResumeTicket(std::coroutine_handle<> awaiter, Executor* wish)
    : ResumeTicket(awaiter, wish != nullptr ? wish : Executor::Current(), CallScope::Current()) {}

ResumeTicket::ResumeTicket(std::coroutine_handle<> awaiter, Executor* executor,
                           std::shared_ptr<CallScope> scope)
    : awaiter_(awaiter.address()), executor_(executor), scope_(std::move(scope)) {}

void ResumeTicket::Go(std::shared_ptr<ResumeTicket> ticket, EventLoop* loop) {
  if (Executor* const executor = ticket->executor_) {
    CallbackQueue::Execute(*executor, kWhat, Runner(std::move(ticket)));
  } else {
    CallbackQueue::Call(loop, kWhat, [ticket = std::move(ticket)] { ticket->Resume(); });
  }
}

void ResumeTicket::Resume() {
  // The exchange decides between resuming and TakeBack, which may run at the same time on another
  // thread: only one of them gets the handle.
  void* const awaiter = awaiter_.exchange(nullptr, std::memory_order_acq_rel);
  if (awaiter == nullptr) return;
  const CallScope::Enter enter(std::move(scope_));
  CoroStack::Resume(std::coroutine_handle<>::from_address(awaiter));
}

}  // namespace weft::internal
