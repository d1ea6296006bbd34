// A broadcast whose replies are taken one by one, in the order in which they come.
//
// Threads  as BroadcastRound; one taker at a time, any thread
// Owns     the replies that were not taken, and the waiter for the next one
#ifndef WEFT_RPC_MESH_STEPS_ROUND_H_
#define WEFT_RPC_MESH_STEPS_ROUND_H_

#include <cstddef>
#include <deque>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/rpc/mesh/typed_round.h"

namespace weft::internal {

template <typename Reply>
class StepsRound final : public TypedRound<Reply> {
 public:
  using Waiter = absl::AnyInvocable<void() &&>;

  StepsRound(const BroadcastOptions& options, Reducer<Reply>* reducer)
      : TypedRound<Reply>(options, reducer, /*keeps_all=*/true) {}

  // Takes the next reply; false: none is there, or none yet.
  bool Take(PeerReply<Reply>* out) WEFT_EXCLUDES(this->mu()) {
    MutexLock lock(this->mu());
    if (told_.empty() || this->state() == BroadcastRound::State::kAbandoned) return false;
    // The name is copied: TakeResult still lists the peer.
    PeerReply<Reply>& peer = this->peers()[told_.front()];
    told_.pop_front();
    out->name = peer.name;
    out->end = peer.end;
    out->may_have_been_executed = peer.may_have_been_executed;
    if (peer.reply.ok()) {
      out->reply = std::move(peer.reply);
    } else {
      out->reply = peer.reply.status();
    }
    return true;
  }
  // Runs `waiter` once there is a next reply, or there can be none any more; on any thread, under
  // no lock. False: that is so already, and `waiter` does not run.
  bool AwaitNext(Waiter waiter) WEFT_EXCLUDES(this->mu()) {
    return Await(std::move(waiter), /*outcome=*/false);
  }
  // The same for the outcome of the broadcast.
  bool AwaitOutcome(Waiter waiter) WEFT_EXCLUDES(this->mu()) {
    return Await(std::move(waiter), /*outcome=*/true);
  }
  void StopWaiting() WEFT_EXCLUDES(this->mu()) {
    Waiter waiter;  // destroyed after the lock is released
    MutexLock lock(this->mu());
    waiter = std::exchange(waiter_, nullptr);
  }
  // The loop for callbacks about items that are there already, and the executor asked for.
  EventLoop* home() const { return this->loop().get(); }
  Executor* wish() const { return this->executor(); }
  const MethodInfo& called() const { return this->method(); }

 private:
  bool Await(Waiter waiter, bool outcome) WEFT_EXCLUDES(this->mu()) {
    MutexLock lock(this->mu());
    if (Ready(outcome)) return false;
    waiter_ = std::move(waiter);
    for_outcome_ = outcome;
    return true;
  }
  bool Ready(bool outcome) WEFT_REQUIRES(this->mu()) {
    if (this->state() == BroadcastRound::State::kAbandoned) return true;
    if (outcome) return delivered_;
    // Without let_rest_run nothing comes after the outcome; with it, replies come until all legs
    // have ended.
    return !told_.empty() || (delivered_ && (!this->lets_rest_run() || this->all_ended()));
  }
  void OnKept(size_t leg) override WEFT_REQUIRES(this->mu()) { told_.push_back(leg); }
  void OnTold() override WEFT_EXCLUDES(this->mu()) {
    Waiter waiter;
    {
      MutexLock lock(this->mu());
      if (waiter_ == nullptr || !Ready(for_outcome_)) return;
      waiter = std::exchange(waiter_, nullptr);
    }
    std::move(waiter)();
  }
  void Deliver(EventLoop*) override WEFT_EXCLUDES(this->mu()) {
    this->TellContext();
    MutexLock lock(this->mu());
    delivered_ = true;
  }

  std::deque<size_t> told_ WEFT_GUARDED_BY(this->mu());  // kept replies that were not taken, by leg
  bool delivered_ WEFT_GUARDED_BY(this->mu()) = false;
  // The waiter waits for the outcome, not for a reply.
  bool for_outcome_ WEFT_GUARDED_BY(this->mu()) = false;
  Waiter waiter_ WEFT_GUARDED_BY(this->mu());
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_STEPS_ROUND_H_
