// A broadcast under way that a coroutine awaits: `co_await BroadcastCoro(node, Kv::kPut, request)`.
//
// The broadcast has started when BroadcastCoro returns. It may be awaited once, or not at all.
// Destroying this object before the outcome is certain cancels its calls, also those that were to
// be let run.
//
// Resumes as CoroCall does: on BroadcastOptions::executor; without one on the worker pool whose
// thread awaited, else on the I/O thread. Never resumes inside another call of the user's.
//
// Threads  value: one holder at a time. Destroyed on the thread or executor on which the coroutine
//          would resume, or where the outcome is known to be far
// Owns     its share of the round
// Ends     the awaiter is resumed exactly once, or never when it was destroyed before
#ifndef WEFT_RPC_MESH_BROADCAST_CORO_H_
#define WEFT_RPC_MESH_BROADCAST_CORO_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "weft/rpc/mesh/broadcast_result.h"
#include "weft/rpc/mesh/coro_round.h"

namespace weft {

template <typename Reply>
class [[nodiscard]] CoroBroadcast {
 public:
  using Round = internal::CoroRound<Reply>;

  explicit CoroBroadcast(std::shared_ptr<Round> round) : round_(std::move(round)) {}
  CoroBroadcast(CoroBroadcast&&) noexcept = default;
  CoroBroadcast& operator=(CoroBroadcast&& o) noexcept {
    std::swap(round_, o.round_);
    return *this;
  }
  ~CoroBroadcast() {
    if (round_ != nullptr) round_->GiveUp();
  }

  bool await_ready() { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) { return round_->Suspend(awaiter); }
  BroadcastResult<Reply> await_resume() {
    const std::shared_ptr<Round> round = std::move(round_);
    return round->TakeResult();
  }

 private:
  std::shared_ptr<Round> round_;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_BROADCAST_CORO_H_
