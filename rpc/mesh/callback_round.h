// A broadcast that calls back with its outcome.
//
// Threads  as BroadcastRound; the callback by the rule of core/callback_queue.h
// Owns     the callback, until it is called
#ifndef WEFT_RPC_MESH_CALLBACK_ROUND_H_
#define WEFT_RPC_MESH_CALLBACK_ROUND_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/core/callback_queue.h"
#include "weft/core/executor.h"
#include "weft/rpc/mesh/typed_round.h"

namespace weft {

template <typename Reply>
using BroadcastCallback = absl::AnyInvocable<void(BroadcastResult<Reply>) &&>;

namespace internal {

template <typename Reply>
class CallbackRound final : public TypedRound<Reply> {
 public:
  CallbackRound(const BroadcastOptions& options, Reducer<Reply>* reducer,
                BroadcastCallback<Reply> done)
      : TypedRound<Reply>(options, reducer, /*keeps_all=*/false), done_(std::move(done)) {}

 private:
  static constexpr char kWhat[] = "a broadcast's callback";

  void Deliver(EventLoop* loop) override {
    this->TellContext();
    auto tell = [done = std::move(done_), result = this->TakeResult()]() mutable {
      std::move(done)(std::move(result));
    };
    if (Executor* const executor = this->executor()) {
      CallbackQueue::Execute(*executor, kWhat, std::move(tell));
    } else {
      CallbackQueue::Call(loop, kWhat, std::move(tell));
    }
  }

  BroadcastCallback<Reply> done_;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_RPC_MESH_CALLBACK_ROUND_H_
