// The calls of a channel or peer that wait for room, because the output of each link that they may
// use is full (CallOptions::wait_for_room). They are placed again when one of the links says that
// there is room, in the order in which they came.
//
//   call ──its links are full──► waits ──one of them has room──► all are tried, in order, on the
//                                                                links that were not asked for room
//
// A link that was asked for room and has not answered yet is not tried, so no call overtakes there.
// Each link is asked once at a time. A call that may use another link does not wait for this one.
//
// Calls that wait for a link are elsewhere (WaitingRoom).
//
// A WaitingRoom has one, as a member.
//
// Threads  any: Add, CancelCall, Close. Everything else: its home loop
// Owns     nothing of the calls: they stay their starters'
// Errors   RESOURCE_EXHAUSTED for a call too many; DEADLINE_EXCEEDED where no room came in time
// Ends     Close and EndAll end every call
#ifndef WEFT_RPC_CLIENT_ROOM_QUEUE_H_
#define WEFT_RPC_CLIENT_ROOM_QUEUE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/loop_group.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/room_observer.h"
#include "weft/rpc/client/call_placer.h"
#include "weft/rpc/client/waiting_calls.h"

namespace weft::internal {

class RoomQueue final : public DeadlineTarget, public CallCanceller {
 public:
  static constexpr size_t kMaxCalls = 1000;

  // `placer` has this. `one_link`: every call is for the same one. `max_message`, `max_output`:
  // bytes of one request, and of all that may wait to be written on a connection.
  RoomQueue(CallPlacer& placer, IoThread& home, bool one_link, const MessageLimit& max_message,
            size_t max_output);
  void SetKeeper(std::weak_ptr<const void> keeper) { keeper_ = std::move(keeper); }

  // True if no call waits.
  WEFT_ANY_THREAD bool empty() const { return inside_.load(std::memory_order_acquire) == 0; }
  // `full`: the links that have no room for the call. Empty: none was tried, for others wait
  // already.
  WEFT_ANY_THREAD void Add(OutboundCall& call, const std::vector<PickedLink>& full)
      WEFT_EXCLUDES(mu_);
  // A new link may be there.
  void OnLink() WEFT_LOOP_ONLY {
    if (!empty()) PlaceAll();
  }
  // Lets no call in any more.
  WEFT_ANY_THREAD void Close() WEFT_EXCLUDES(mu_);
  void EndAll(const absl::Status& why) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);

  // CallCanceller
  WEFT_ANY_THREAD void CancelCall(uint64_t id) override;
  // DeadlineTarget
  void OnCallDeadline(OutboundCall& call) override;

 private:
  // Hears of room on one link. It exists until then.
  class Asked final : public RoomObserver {
   public:
    Asked(RoomQueue& queue, uint64_t link) : keeper_(queue.keeper_), queue_(queue), link_(link) {}
    uint64_t link() const { return link_; }
    void OnRoom() override {
      if (std::shared_ptr<const void> keep = keeper_.lock()) queue_.OnRoom(std::move(keep), link_);
    }

   private:
    const std::weak_ptr<const void> keeper_;
    RoomQueue& queue_;
    const uint64_t link_;
  };

  // Places the waiting calls, in order, until all links are full.
  void PlaceAll() WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  // Asks the link to tell of room for `size` bytes, unless it has been asked already.
  void Ask(const PickedLink& full, size_t size) WEFT_EXCLUDES(mu_);
  void OnRoom(std::shared_ptr<const void> keep, uint64_t link) WEFT_EXCLUDES(mu_);
  void Arm(uint64_t id) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void PutBack(OutboundCall& call) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  OutboundCall* Take(uint64_t id) WEFT_EXCLUDES(mu_);  // on the loop, or after its end
  // Counts a call out that was taken: it is placed, or is about to be ended.
  void Leave() { inside_.fetch_sub(1, std::memory_order_release); }
  void EndOne(uint64_t id, const absl::Status& why) WEFT_EXCLUDES(mu_);

  // Fixed at construction, the keeper by SetKeeper.
  CallPlacer& placer_;
  IoThread& home_;
  const std::shared_ptr<EventLoop> loop_;
  const bool one_link_;
  const MessageLimit max_message_;
  std::weak_ptr<const void> keeper_;

  Mutex mu_;
  WaitingCalls waiting_ WEFT_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Asked>> asked_ WEFT_GUARDED_BY(mu_);
  bool closed_ WEFT_GUARDED_BY(mu_) = false;

  std::atomic<size_t> inside_{0};      // calls in waiting_, and one being placed
  std::atomic<bool> sweeping_{false};  // PlaceAll is posted
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ROOM_QUEUE_H_
