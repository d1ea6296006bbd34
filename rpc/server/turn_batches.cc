#include "weft/rpc/server/turn_batches.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft {

void TurnBatches::Add(InboundCall& call) {
  const uint16_t handler_pool = call.bound->handler_pool;
  call.serving.runner = dispatcher_.handler_pools()[handler_pool].get();
  if (call.origin.get() != last_origin_ || handler_pool != last_pool_) {
    last_share_ = shares_.Of(call).get();
    last_origin_ = call.origin.get();
    last_pool_ = handler_pool;
  }
  call.SetShare(last_share_);
  if (!handing_over_) {
    handing_over_ = true;
    loop_.RunAtEndOfTurn(&hand_over_);
  }
  batches_[handler_pool].push_back(&call);
  if (const size_t kept = call.kept_input(); kept > 0) {
    keepers_.push_back(&call);
    kept_ += kept;
  }
}

// A call may wait for long, and the block that its request stands in is 64 KiB: a peer that sends
// little of a request between much of nothing would have that much held with each of them, and not
// counted. No worker has seen these calls yet.
void TurnBatches::OnLookedThrough(size_t size) {
  if (keepers_.empty()) return;
  if (kept_ < size / kSparse) {
    for (InboundCall* call : keepers_) call->LetGoOfInput();
  }
  keepers_.clear();
  kept_ = 0;
}

void TurnBatches::HandOverAll() {
  loop_.AssertInLoop();
  handing_over_ = false;
  last_origin_ = nullptr;
  keepers_.clear();
  kept_ = 0;
  for (size_t i = 0; i < batches_.size(); ++i) {
    std::vector<WorkItem*>& batch = batches_[i];
    if (batch.empty()) continue;
    HandlerPool& handler_pool = *dispatcher_.handler_pools()[i];
    const size_t accepted = handler_pool.pool().TrySubmit(batch.data(), batch.size());
    for (size_t k = accepted; k < batch.size(); ++k) {
      static_cast<InboundCall*>(batch[k])->Refuse(absl::ResourceExhaustedError(absl::StrCat(
          "the ", dispatcher_.side().name, "'s queue is full: ", handler_pool.pool().queued(),
          " calls wait for ", handler_pool.pool().threads(), " workers, the limit is ",
          handler_pool.pool().queue_limit(), " (", handler_pool.QueueSetting(), ")")));
    }
    batch.clear();
    if (batch.capacity() > kMaxKept) std::vector<WorkItem*>().swap(batch);
  }
}

}  // namespace weft
