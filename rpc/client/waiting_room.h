// The place for calls that no link can take yet. Each is tried on the links of a source. It is
// ended where the source says why, and is kept until a link comes otherwise.
//
// While any call waits, others wait behind it: calls reach the links in the order in which they
// came.
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
#include "weft/rpc/client/link_observer.h"
#include "weft/rpc/client/link_source.h"
#include "weft/rpc/client/waiting_calls.h"

namespace weft {

class WaitingRoom final : public LinkObserver, public DeadlineTarget, public CallCanceller {
 public:
  // `max_message`, `max_waiting`: bytes of one request, and of all that wait together. `target`:
  // for texts. `source` outlives this.
  WaitingRoom(LinkSource& source, IoThread& home, std::string target, size_t max_message,
              size_t max_waiting);
  ~WaitingRoom() override = default;
  // What keeps this alive; before the first call.
  void SetKeeper(std::weak_ptr<const void> keeper) { keeper_ = std::move(keeper); }

  // Nobody waits: a call may go straight to a link.
  ANY_THREAD bool empty() const { return inside_.load(std::memory_order_acquire) == 0; }
  // Starts it on a link, ends it, or keeps it until there is one. `gone`: a link that does not take
  // it; 0: none is known.
  ANY_THREAD void Send(OutboundCall& call, uint64_t gone = 0) WEFT_EXCLUDES(mu_);
  // Ends a call that was not sent, on the home loop, later.
  ANY_THREAD void CompleteLater(OutboundCall& call, absl::Status status);
  // Nobody is let in any more, and what ends from here on ends because of the closing.
  ANY_THREAD void Close() WEFT_EXCLUDES(mu_);
  ANY_THREAD bool closed() const { return closed_.load(std::memory_order_acquire); }
  // Ends everybody.
  void EndAll(const absl::Status& why) LOOP_ONLY;

  // LinkObserver
  ANY_THREAD void OnLink() override;
  ANY_THREAD void OnNoLink(const absl::Status& why, NoLink how) override;
  // CallCanceller
  ANY_THREAD void CancelCall(uint64_t id) override;
  // DeadlineTarget
  void OnCallDeadline(OutboundCall& call) override;

  const std::string& target() const { return target_; }

 private:
  // When calls are ended that no link takes.
  enum class Ending : uint8_t { kLater, kNow };

  // True: it was started, or has ended. False: there is no link, and it may wait.
  bool Place(OutboundCall& call, uint64_t gone, Ending ending);
  void Add(OutboundCall& call) WEFT_EXCLUDES(mu_);
  // Sees to a link for a call that waits.
  void Look(uint64_t id) LOOP_ONLY WEFT_EXCLUDES(mu_);
  // Places everybody, in order, until one finds no link.
  void Sweep() LOOP_ONLY;
  void PutBack(OutboundCall& call) LOOP_ONLY WEFT_EXCLUDES(mu_);
  void EndMany(const absl::Status& why, WaitingCalls::Which which) LOOP_ONLY WEFT_EXCLUDES(mu_);
  OutboundCall* Take(uint64_t id) WEFT_EXCLUDES(mu_);  // on the loop, or after its end
  // Of one that was taken: it is placed, or is about to be ended.
  void Leave() { inside_.fetch_sub(1, std::memory_order_release); }
  void CompleteNow(OutboundCall& call, const absl::Status& status);
  // Runs `task` on the home loop: now, or later.
  template <typename Task>
  void OnHome(Task task);

  // Fixed at construction, the keeper by SetKeeper.
  LinkSource& source_;
  IoThread& home_;
  const std::shared_ptr<EventLoop> loop_;
  const std::string target_;
  const size_t max_message_;
  std::weak_ptr<const void> keeper_;

  Mutex mu_;
  WaitingCalls waiting_ WEFT_GUARDED_BY(mu_);

  std::atomic<size_t> inside_{0};  // those in waiting_, and one that is being placed
  std::atomic<bool> closed_{false};
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_WAITING_ROOM_H_
