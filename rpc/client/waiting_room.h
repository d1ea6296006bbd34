// The place for calls that no link can take yet. Each call is tried on the links of a source. It
// ends if the source gives a reason, and otherwise waits until a link comes.
//
// While any call waits, later ones wait behind it: calls reach the links in the order in which they
// came. Calls that wait for room on a link, not for a link, stand apart and hold up nobody else.
//
// A CallStarter has one, as a member, for as long as it lives.
//
// Threads  any: Send, CancelCall, CompleteLater, OnLink, OnNoLink. Everything else: its home loop
// Owns     nothing of the calls: they stay their starters'
// Errors   RESOURCE_EXHAUSTED for a call too many; DEADLINE_EXCEEDED where no link came in time
// Ends     Close and EndAll end every call; a call that comes later ends with UNAVAILABLE
#ifndef WEFT_RPC_CLIENT_WAITING_ROOM_H_
#define WEFT_RPC_CLIENT_WAITING_ROOM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "weft/core/loop_group.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/client/call_placer.h"
#include "weft/rpc/client/full_links.h"
#include "weft/rpc/client/link_observer.h"
#include "weft/rpc/client/link_source.h"
#include "weft/rpc/client/room_queue.h"
#include "weft/rpc/client/waiting_calls.h"

namespace weft::internal {

class WaitingRoom final : public LinkObserver, public DeadlineTarget, public CallCanceller {
 public:
  // `max_message`, `max_waiting`: bytes of one request, and of all that wait together. `target`:
  // for texts. `source` outlives this.
  WaitingRoom(LinkSource& source, IoThread& home, std::string target,
              const MessageLimit& max_message, size_t max_waiting);
  ~WaitingRoom() override = default;
  // Sets the owner that keeps this alive. Call it before the first call.
  void SetKeeper(std::weak_ptr<const void> keeper) {
    room_queue_.SetKeeper(keeper);
    keeper_ = std::move(keeper);
  }

  // True if no call waits: a call may go straight to a link.
  WEFT_ANY_THREAD bool empty() const { return inside_.load(std::memory_order_acquire) == 0; }
  // Starts the call on a link, ends it, or keeps it until there is a link. `gone`: a link that does
  // not take it; 0: none is known.
  WEFT_ANY_THREAD void Send(OutboundCall& call, uint64_t gone = 0) WEFT_EXCLUDES(mu_);
  // True if the call need not wait behind others for room on a link.
  WEFT_ANY_THREAD bool MayPass(const OutboundCall& call) const {
    return !call.options.wait_for_room || room_queue_.empty();
  }
  // `full` has no room for the call, as `why` says: keeps it until there is some, or ends it.
  WEFT_ANY_THREAD void OnFull(OutboundCall& call, const PickedLink& full, absl::Status why);
  // Ends a call that was not sent, on the home loop, later.
  WEFT_ANY_THREAD void CompleteLater(OutboundCall& call, absl::Status status) {
    CompleteLater(call, std::move(status), /*output_full=*/false);
  }
  // Lets no call in any more. Calls that end from here on end because of the closing.
  WEFT_ANY_THREAD void Close() WEFT_EXCLUDES(mu_);
  WEFT_ANY_THREAD bool closed() const { return closed_.load(std::memory_order_acquire); }
  // Ends all calls that wait.
  void EndAll(const absl::Status& why) WEFT_LOOP_ONLY;

  // LinkObserver
  WEFT_ANY_THREAD void OnLink() override;
  WEFT_ANY_THREAD void OnNoLink(const absl::Status& why, NoLink how) override;
  // CallCanceller
  WEFT_ANY_THREAD void CancelCall(uint64_t id) override;
  // DeadlineTarget
  void OnCallDeadline(OutboundCall& call) override;

  const std::string& target() const { return target_; }

 private:
  // The time at which a call ends that no link takes: in a later turn, or inside this call.
  enum class Ending : uint8_t { kLater, kNow };

  enum class Try : uint8_t {
    kDone,    // it was started, or has ended
    kNoLink,  // there is no link, and it may wait for one
    kNoRoom,  // its links are full, and it may wait for room
  };
  // The room, as the queue of calls that have waited on a full link sees it.
  struct Placer final : CallPlacer {
    explicit Placer(WaitingRoom& all) : room(all) {}
    Placed PlaceAgain(OutboundCall& call, FullLinks* full) override;
    void CompleteNow(OutboundCall& call, const absl::Status& status, bool output_full) override {
      room.CompleteNow(call, status, output_full);
    }
    void CompleteLater(OutboundCall& call, absl::Status status, bool output_full) override {
      room.CompleteLater(call, std::move(status), output_full);
    }
    WaitingRoom& room;
  };

  // `full`: links that are not tried. Links that are found full are added.
  Try Place(OutboundCall& call, uint64_t gone, Ending ending, FullLinks* full);
  // True if the call has only one possible link: when that one is full, no other is tried.
  bool HasOneLink(const OutboundCall& call) const { return one_link_ || call.method.ordered; }
  void End(OutboundCall& call, absl::Status status, Ending ending, bool output_full);
  // Keeps the call until there is a link.
  void Keep(OutboundCall& call);
  void Add(OutboundCall& call) WEFT_EXCLUDES(mu_);
  // Looks for a link for a call that waits, or asks the source to connect.
  void Look(uint64_t id) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  // Places the waiting calls, in order, until one finds no link.
  void Sweep() WEFT_LOOP_ONLY;
  void PutBack(OutboundCall& call) WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void EndMany(const absl::Status& why, WaitingCalls::Which which) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_);
  OutboundCall* Take(uint64_t id) WEFT_EXCLUDES(mu_);  // on the loop, or after its end
  // Counts a call out that was taken: it is placed, or is about to be ended.
  void Leave() { inside_.fetch_sub(1, std::memory_order_release); }
  // `output_full`: it ends for want of room on a link.
  void CompleteNow(OutboundCall& call, const absl::Status& status, bool output_full = false);
  void CompleteLater(OutboundCall& call, absl::Status status, bool output_full);
  // Runs `task` on the home loop: now, or later.
  template <typename Task>
  void OnHome(Task task);

  // Fixed at construction, the keeper by SetKeeper.
  LinkSource& source_;
  IoThread& home_;
  const std::shared_ptr<EventLoop> loop_;
  const std::string target_;
  const bool one_link_;  // the source has one for all calls
  const MessageLimit max_message_;
  std::weak_ptr<const void> keeper_;

  Placer placer_{*this};
  RoomQueue room_queue_;

  Mutex mu_;
  WaitingCalls waiting_ WEFT_GUARDED_BY(mu_);

  std::atomic<size_t> inside_{0};  // calls in waiting_, and one being placed
  std::atomic<bool> closed_{false};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_WAITING_ROOM_H_
