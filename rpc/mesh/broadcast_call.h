// A broadcast under way whose replies its caller takes one by one, in the order in which they come.
//
//   weft::BroadcastCall<GetReply> call = weft::BroadcastStart(node, Kv::kGet, request, {…});
//   weft::PeerReply<GetReply> one;
//   while (call.Next(&one)) …                      // a reply, an error, or who was skipped
//   weft::BroadcastResult<GetReply> all = call.Finish();
//
// Next gives the peers that ended before the outcome was certain; with let_rest_run, all of them.
// Destroying the call before the outcome is certain cancels its calls. Calls that were let run
// after a certain outcome go on.
//
// Threads  one taker at a time, any thread; Cancel: any. Next and Finish wait: not under a lock
//          that a callback takes, and not on an I/O thread, where they are refused
// Owns     its share of the round
// Errors   Finish says how the broadcast ended
// Ends     Finish, once
#ifndef WEFT_RPC_MESH_BROADCAST_CALL_H_
#define WEFT_RPC_MESH_BROADCAST_CALL_H_

#include <memory>
#include <utility>

#include "weft/rpc/mesh/one_by_one.h"
#include "weft/rpc/mesh/steps_round.h"

namespace weft {

template <typename Reply>
class [[nodiscard]] BroadcastCall
    : public internal::OneByOne<internal::StepsRound<Reply>, PeerReply<Reply>> {
 public:
  using Round = internal::StepsRound<Reply>;

  explicit BroadcastCall(std::shared_ptr<Round> round)
      : internal::OneByOne<Round, PeerReply<Reply>>(std::move(round)) {}
  BroadcastCall(BroadcastCall&&) noexcept = default;
  BroadcastCall& operator=(BroadcastCall&&) noexcept = default;
  ~BroadcastCall() {
    if (this->round() != nullptr) this->round()->Abandon();
  }

  // Waits for the outcome. Replies taken by Next are empty in the result. On an I/O thread Finish
  // does not wait: it cancels a broadcast whose outcome is not certain.
  BroadcastResult<Reply> Finish() {
    const std::shared_ptr<Round> round = this->TakeRound();
    absl::Status refused = this->AwaitOutcome(*round);
    round->Abandon();
    BroadcastResult<Reply> result = round->TakeResult();
    if (!refused.ok()) result.status = std::move(refused);
    return result;
  }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_BROADCAST_CALL_H_
