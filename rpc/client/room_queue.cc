#include "weft/rpc/client/room_queue.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {
RoomQueue::RoomQueue(CallPlacer& placer, IoThread& home, bool one_link,
                     const MessageLimit& max_message, size_t max_output)
    : placer_(placer),
      home_(home),
      loop_(home.loop),
      one_link_(one_link),
      max_message_(max_message),
      waiting_(max_output / 2, max_message.owner, kMaxCalls, "room on the connection") {}

// ---- from any thread

void RoomQueue::Add(OutboundCall& call, const std::vector<PickedLink>& full) {
  const std::shared_ptr<const void> keep = keeper_.lock();  // the call may end meanwhile
  absl::Status refused = WaitingCalls::Keep(call, max_message_);
  const size_t size = call.request.Size();
  uint64_t id = 0;
  bool sweeps = false;
  if (refused.ok()) {
    MutexLock lock(mu_);
    refused = closed_ ? WaitingCalls::Closed() : waiting_.Add(call);
    if (refused.ok()) {
      inside_.fetch_add(1, std::memory_order_relaxed);
      id = call.wire().id;
      if (call.wants_handle()) {
        call.Started(CallHandle(
            std::shared_ptr<CallCanceller>(keeper_.lock(), static_cast<CallCanceller*>(this)), id));
      }
      // With a single link and others waiting for it, the call is placed when that link has room.
      sweeps = full.empty() && !(one_link_ && !asked_.empty());
    }
  }
  if (!refused.ok()) {
    placer_.CompleteLater(call, std::move(refused), /*output_full=*/true);
    return;
  }
  // From here on the loop may have ended the call, so only its number is used.
  // One posted PlaceAll serves all calls that come before it runs.
  if (sweeps) sweeps = !sweeping_.exchange(true, std::memory_order_acq_rel);
  loop_->Post([keep, this, id, sweeps](TaskFate fate) {
    if (fate == TaskFate::kCancelled) {
      EndOne(id, WaitingCalls::Closed());
      return;
    }
    loop_->AssertInLoop();
    Arm(id);
    if (sweeps) PlaceAll();
  });
  for (const PickedLink& each : full) Ask(each, size);
}

void RoomQueue::Ask(const PickedLink& full, size_t size) {
  std::shared_ptr<Asked> asked;
  {
    MutexLock lock(mu_);
    for (const auto& each : asked_) {
      // Its answer serves every call that waits.
      if (each->link() == full.number) return;
    }
    asked = asked_.emplace_back(std::make_shared<Asked>(*this, full.number));
  }
  // Not under mu_: AwaitRoom takes locks of the link, or of its runtime.
  full.link->AwaitRoom(size, asked);
}

void RoomQueue::OnRoom(std::shared_ptr<const void> keep, uint64_t link) {
  loop_->Post([keep = std::move(keep), this, link](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    {
      MutexLock lock(mu_);
      std::erase_if(asked_, [link](const auto& each) { return each->link() == link; });
    }
    PlaceAll();
  });
}

void RoomQueue::CancelCall(uint64_t id) {
  loop_->Post([keep = keeper_.lock(), this, id](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    EndOne(id, absl::CancelledError("cancelled by the caller"));
  });
}

void RoomQueue::Close() {
  MutexLock lock(mu_);
  closed_ = true;
}

// ---- on the home loop

void RoomQueue::Arm(uint64_t id) {
  MutexLock lock(mu_);
  OutboundCall* const call = waiting_.Find(id);
  // A PlaceAll may have come first: it has placed the call, or put it back and armed it.
  if (call == nullptr || call->in_wheel()) return;
  call->wire().deadline_target = this;
  home_.wheel->Insert(call, call->plan().deadline);
}

void RoomQueue::PlaceAll() {
  // Cleared before the numbers are read: a call that comes from here on may not be among them, and
  // so posts a PlaceAll of its own.
  sweeping_.store(false, std::memory_order_release);
  std::vector<uint64_t> ids;
  FullLinks full;
  {
    MutexLock lock(mu_);
    ids = waiting_.Numbers(WaitingCalls::Which::kAll);
    for (const auto& each : asked_) full.known.push_back(each->link());
  }
  for (const uint64_t id : ids) {
    OutboundCall* const call = Take(id);
    if (call == nullptr) continue;
    const size_t size = call->request.Size();
    const CallPlacer::Placed placed = placer_.PlaceAgain(*call, &full);
    if (placed == CallPlacer::Placed::kDone) {
      Leave();
    } else {
      PutBack(*call);
    }
    // Ask at once: the calls behind do not try these links, because they are known to be full.
    for (const PickedLink& each : std::exchange(full.found, {})) Ask(each, size);
    if (placed == CallPlacer::Placed::kAllFull) return;
  }
}

// Puts the call back to its place: it keeps its number, and numbers are the order.
void RoomQueue::PutBack(OutboundCall& call) {
  absl::Status refused;
  {
    MutexLock lock(mu_);
    refused = closed_ ? WaitingCalls::Closed() : waiting_.PutBack(call);
    if (refused.ok()) {
      call.wire().deadline_target = this;
      home_.wheel->Insert(&call, call.plan().deadline);
      return;
    }
  }
  Leave();
  placer_.CompleteNow(call, refused, /*output_full=*/true);
}

void RoomQueue::EndAll(const absl::Status& why) {
  std::vector<uint64_t> ids;
  {
    MutexLock lock(mu_);
    // Numbers, not calls: the end of one call may end another.
    ids = waiting_.Numbers(WaitingCalls::Which::kAll);
  }
  for (const uint64_t id : ids) EndOne(id, why);
}

void RoomQueue::EndOne(uint64_t id, const absl::Status& why) {
  OutboundCall* const call = Take(id);
  if (call == nullptr) return;
  Leave();
  placer_.CompleteNow(*call, why, /*output_full=*/true);
}

OutboundCall* RoomQueue::Take(uint64_t id) WEFT_NO_THREAD_ANALYSIS {
  OutboundCall* call;
  {
    MutexLock lock(mu_);
    call = waiting_.Take(id);
  }
  if (call != nullptr) home_.wheel->Remove(call);
  return call;
}

void RoomQueue::OnCallDeadline(OutboundCall& expired) {
  loop_->AssertInLoop();
  // Before EndOne: the call may be gone with its end.
  const Nanos waited = expired.plan().deadline - expired.plan().started;
  EndOne(expired.wire().id,
         absl::DeadlineExceededError(absl::StrCat("no room to be written within ", InMs(waited),
                                                  ", for the peer does not read; the request was "
                                                  "not sent")));
}

}  // namespace weft::internal
