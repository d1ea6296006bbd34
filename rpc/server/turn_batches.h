// Gathers the calls of a loop's turn by handler pool, and hands each pool all of its calls at once
// when the turn ends.
//
// A call that its pool's queue has no room for is refused then. Until then a call may refer to the
// block of input that its request came in; requests that are a small part of it are copied.
//
// A member of LoopDispatcher.
//
// Threads  loop-only
// Owns     its lists; calls stay their pool's
// Errors   RESOURCE_EXHAUSTED for a call that is refused, naming the queue's limit and setting
// Ends     lives as long as its loop's LoopDispatcher, which outlives the turn's end
#ifndef WEFT_RPC_SERVER_TURN_BATCHES_H_
#define WEFT_RPC_SERVER_TURN_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weft/core/event_loop.h"
#include "weft/core/loop_task.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_item.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/server/caller_shares.h"
#include "weft/rpc/server/dispatcher.h"

namespace weft::internal {

class TurnBatches {
 public:
  // The dispatcher serves.
  TurnBatches(EventLoop& loop, Dispatcher& dispatcher, const CallerShares& shares)
      : loop_(loop),
        dispatcher_(dispatcher),
        shares_(shares),
        batches_(dispatcher.handler_pools().size()) {}

  // The call's method runs on a handler pool.
  void Add(InboundCall& call) WEFT_LOOP_ONLY;
  // `size` bytes of a block have been looked through; calls that were added since the last time may
  // refer to it.
  void OnLookedThrough(size_t size) WEFT_LOOP_ONLY;

 private:
  // Requests are copied if they are a smaller part than this of the bytes that were read with them.
  static constexpr size_t kSparse = 8;
  // A batch with room for more calls than this gives its memory back after the turn.
  static constexpr size_t kMaxKept = 1024;

  class HandOver final : public LoopTask {
   public:
    explicit HandOver(TurnBatches* batches) : batches_(batches) {}
    void Run() override { batches_->HandOverAll(); }
    void Cancel() override { batches_->HandOverAll(); }

   private:
    TurnBatches* const batches_;
  };

  void HandOverAll();
  void FindShare(const InboundCall& call) WEFT_LOOP_ONLY;
  void AddKeeper(InboundCall& call) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  Dispatcher& dispatcher_;
  const CallerShares& shares_;
  std::vector<std::vector<WorkItem*>> batches_ WEFT_LOOP_OWNED;  // by handler pool
  // The origin of the last call that was added, which that call keeps alive, and its share. Null
  // between turns.
  const CallOrigin* last_origin_ WEFT_LOOP_OWNED = nullptr;
  uint16_t last_pool_ WEFT_LOOP_OWNED = 0;
  WorkShare* last_share_ WEFT_LOOP_OWNED = nullptr;
  // The calls of batches_ that keep a block of the input, since OnLookedThrough, and their bytes.
  std::vector<InboundCall*> keepers_ WEFT_LOOP_OWNED;
  size_t kept_ WEFT_LOOP_OWNED = 0;
  bool handing_over_ WEFT_LOOP_OWNED = false;  // hand_over_ waits for the turn's end
  HandOver hand_over_{this};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_TURN_BATCHES_H_
