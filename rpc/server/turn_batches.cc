#include "weft/rpc/server/turn_batches.h"

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {

void TurnBatches::Add(InboundCall& call) {
  const uint16_t handler_pool = call.bound->handler_pool;
  call.serving.runner = dispatcher_.handler_pools()[handler_pool].get();
  // Calls of one read come from one connection: look its share up once.
  if (call.origin.get() != last_origin_ || handler_pool != last_pool_) FindShare(call);
  call.SetShare(last_share_);
  if (!handing_over_) {
    handing_over_ = true;
    loop_.RunAtEndOfTurn(&hand_over_);
  }
  batches_[handler_pool].push_back(&call);
  if (ABSL_PREDICT_FALSE(call.kept_input() > 0)) AddKeeper(call);
}

ABSL_ATTRIBUTE_NOINLINE void TurnBatches::FindShare(const InboundCall& call) {
  last_share_ = shares_.Of(call).get();
  last_origin_ = call.origin.get();
  last_pool_ = call.bound->handler_pool;
}

ABSL_ATTRIBUTE_NOINLINE void TurnBatches::AddKeeper(InboundCall& call) {
  keepers_.push_back(&call);
  kept_ += call.kept_input();
}

// A call may wait for long, and the block with its request has 64 KiB. A peer that sends little
// requests between many other bytes would hold a whole block with each of them, and the account
// would not show it. Copying is safe here: no worker has seen these calls yet.
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
  // From here on workers own the calls, and with the last one the origin may go: an address that is
  // used again must not match.
  last_origin_ = nullptr;
  keepers_.clear();
  kept_ = 0;
  for (size_t i = 0; i < batches_.size(); ++i) {
    std::vector<WorkItem*>& batch = batches_[i];
    if (batch.empty()) continue;
    HandlerPool& handler_pool = *dispatcher_.handler_pools()[i];
    const size_t accepted = handler_pool.pool().TrySubmit(batch.data(), batch.size());
    // The pool takes calls in order, so the ones that it refuses are the last.
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

}  // namespace weft::internal
