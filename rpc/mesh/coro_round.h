// A broadcast that a coroutine waits for.
//
// Threads  as BroadcastRound; Suspend and GiveUp: the holder's, GiveUp also while a leg on another
//          thread makes the outcome certain
// Ends     the coroutine is resumed once, unless it gave up before
#ifndef WEFT_RPC_MESH_CORO_ROUND_H_
#define WEFT_RPC_MESH_CORO_ROUND_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "weft/core/mutex.h"
#include "weft/rpc/call/resume_ticket.h"
#include "weft/rpc/mesh/typed_round.h"

namespace weft::internal {

template <typename Reply>
class CoroRound final : public TypedRound<Reply> {
 public:
  CoroRound(const BroadcastOptions& options, Reducer<Reply>* reducer)
      : TypedRound<Reply>(options, reducer, /*keeps_all=*/false) {}

  // False: the outcome is certain already, and the coroutine goes on at once.
  bool Suspend(std::coroutine_handle<> awaiter) WEFT_EXCLUDES(wait_mu_) {
    MutexLock lock(wait_mu_);
    if (certain_) return false;
    ticket_ = std::make_shared<ResumeTicket>(awaiter, this->executor());
    return true;
  }
  void GiveUp() WEFT_EXCLUDES(wait_mu_) {
    std::shared_ptr<ResumeTicket> ticket;
    {
      MutexLock lock(wait_mu_);
      ticket = std::move(ticket_);
    }
    // Deliver may hold another share of the ticket. A ticket that was taken back resumes nothing.
    if (ticket != nullptr) ticket->TakeBack();
    this->Abandon();
  }

 private:
  void Deliver(EventLoop* loop) override WEFT_EXCLUDES(wait_mu_) {
    this->TellContext();
    std::shared_ptr<ResumeTicket> ticket;
    {
      MutexLock lock(wait_mu_);
      certain_ = true;
      ticket = ticket_;
    }
    if (ticket != nullptr) ResumeTicket::Go(std::move(ticket), loop);
  }

  Mutex wait_mu_;
  bool certain_ WEFT_GUARDED_BY(wait_mu_) = false;
  // The awaiting coroutine's; null: nobody awaits.
  std::shared_ptr<ResumeTicket> ticket_ WEFT_GUARDED_BY(wait_mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_CORO_ROUND_H_
