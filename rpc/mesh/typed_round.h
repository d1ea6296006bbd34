// A broadcast's round with the replies of its peers.
//
// Threads  as BroadcastRound
// Owns     the replies, until they are the caller's
// Ends     TakeResult, once; or the round's end
#ifndef WEFT_RPC_MESH_TYPED_ROUND_H_
#define WEFT_RPC_MESH_TYPED_ROUND_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/context_writer.h"
#include "weft/rpc/call/unary_call.h"
#include "weft/rpc/mesh/broadcast_result.h"
#include "weft/rpc/mesh/broadcast_round.h"
#include "weft/rpc/mesh/reducer.h"

namespace weft::internal {

template <typename Reply>
class TypedRound : public BroadcastRound {
 public:
  // `reducer` null: the count alone decides.
  TypedRound(const BroadcastOptions& options, Reducer<Reply>* reducer, bool keeps_all)
      : BroadcastRound(options, reducer != nullptr, keeps_all), reducer_(reducer) {}

  // After Deliver.
  BroadcastResult<Reply> TakeResult() WEFT_EXCLUDES(mu()) {
    BroadcastResult<Reply> result;
    MutexLock lock(mu());
    result.status = status();
    for (PeerReply<Reply>& peer : peers_) {
      if (peer.end != PeerEnd::kOpen) continue;
      peer.reply = absl::CancelledError("the outcome was certain without its answer");
    }
    result.peers = std::move(peers_);
    result.members = count().members();
    result.needed = count().needed();
    result.ok = count().ok();
    result.failed = count().failed();
    result.skipped = count().skipped();
    result.rest = rest();
    return result;
  }

  // LegOwner
  void OnLegEnded(BroadcastLeg& leg, const CallEnd& end) override WEFT_EXCLUDES(mu()) {
    absl::StatusOr<Reply> reply;
    if (MayWantReplies()) {
      // Parsed before the mutex is taken: legs end on several loops at once.
      internal::TakeResult(leg, end, &reply);
    } else if (end.status.ok()) {
      reply.emplace();  // never looked at
    } else {
      reply = end.status;
    }
    const bool skipped = end.output_full && slow() == Slow::kSkip;
    const LegEnd how{reply.ok() ? PeerEnd::kOk
                     : skipped  ? PeerEnd::kSkipped
                                : PeerEnd::kFailed,
                     reply.status().code(), end.may_have_been_executed};
    Todo todo;
    {
      MutexLock lock(mu());
      const size_t index = leg.index();
      const Keep keep = TakeEnd(leg, how, &todo);
      if (keep != Keep::kNot) {
        PeerReply<Reply>& peer = peers_[index];
        peer.end = how.end;
        peer.reply = std::move(reply);
        peer.may_have_been_executed = end.may_have_been_executed;
        if (keep == Keep::kAndTell) OnKept(index);
      }
    }
    Do(std::move(todo));
  }

 protected:
  std::vector<PeerReply<Reply>>& peers() WEFT_REQUIRES(mu()) { return peers_; }

  // Writes the certain outcome to the caller's context, before the caller gets the result.
  void TellContext() WEFT_EXCLUDES(mu()) {
    if (context() == nullptr) return;
    // Under the mutex: a caller that abandons the round may destroy its context right afterwards.
    MutexLock lock(mu());
    if (state() == BroadcastRound::State::kAbandoned) return;
    ContextWriter(*context())
        .SetEnd(Metadata(), absl::ZeroDuration(), executed() || !all_ended(), 1);
  }

 private:
  void Prepare(const BroadcastPlan& plan) override WEFT_EXCLUDES(mu()) {
    MutexLock lock(mu());
    peers_.resize(plan.legs());
    for (size_t i = 0; i < plan.legs(); ++i) peers_[i].name = plan.NameOf(i);
  }
  // Unguarded read: a leg that has ended is not written again, and the caller cannot take the
  // replies while the reducer runs.
  Step Reduce(size_t leg, const QuorumCount& count) override WEFT_NO_THREAD_ANALYSIS {
    return reducer_->OnEnd(peers_[leg], count);
  }
  absl::Status WhyReduced() const override { return reducer_->why(); }
  void AddFailures(size_t last, QuorumError* error) override WEFT_REQUIRES(mu()) {
    for (size_t i = 0; i < peers_.size(); ++i) {
      if (i != last) AddFailure(peers_[i], error);
    }
    if (last < peers_.size()) AddFailure(peers_[last], error);
  }
  static void AddFailure(const PeerReply<Reply>& peer, QuorumError* error) {
    if (peer.end == PeerEnd::kFailed || peer.end == PeerEnd::kSkipped) {
      error->Add(peer.name, peer.reply.status());
    }
  }

  Reducer<Reply>* const reducer_;
  std::vector<PeerReply<Reply>> peers_ WEFT_GUARDED_BY(mu());
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_TYPED_ROUND_H_
