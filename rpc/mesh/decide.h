// A reducer that is one function.
//
//   weft::Decide<VoteReply> decide([&](const weft::PeerReply<VoteReply>& peer, const auto&) {
//     return peer.reply.ok() && !peer.reply->granted() ? weft::Step::kFail : weft::Step::kByCount;
//   });
//
// Threads  as Reducer
#ifndef WEFT_RPC_MESH_DECIDE_H_
#define WEFT_RPC_MESH_DECIDE_H_

#include <functional>
#include <utility>

#include "weft/rpc/mesh/reducer.h"

namespace weft {

template <typename Reply>
class Decide final : public Reducer<Reply> {
 public:
  using Function = std::function<Step(const PeerReply<Reply>&, const QuorumCount&)>;

  explicit Decide(Function function) : function_(std::move(function)) {}

  Step OnEnd(const PeerReply<Reply>& peer, const QuorumCount& count) override {
    return function_(peer, count);
  }

 private:
  Function function_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_DECIDE_H_
