// A broadcast whose caller waits for the outcome.
//
// Threads  as BroadcastRound; Wait: the caller's
#ifndef WEFT_RPC_MESH_BLOCKING_ROUND_H_
#define WEFT_RPC_MESH_BLOCKING_ROUND_H_

#include "weft/core/parker.h"
#include "weft/rpc/mesh/typed_round.h"

namespace weft::internal {

template <typename Reply>
class BlockingRound final : public TypedRound<Reply> {
 public:
  BlockingRound(const BroadcastOptions& options, Reducer<Reply>* reducer)
      : TypedRound<Reply>(options, reducer, /*keeps_all=*/false) {}

  BroadcastResult<Reply> Wait() {
    WaitForReply(parker_);
    return this->TakeResult();
  }

 private:
  void Deliver(EventLoop*) override {
    this->TellContext();
    parker_.Unpark();
  }

  Parker parker_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_BLOCKING_ROUND_H_
