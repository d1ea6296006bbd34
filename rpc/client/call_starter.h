// Starts calls on the links of a source, as options say: deadline, codec, scope, interceptors,
// attempts, and the room in which they wait. A channel has one, a peer has one, and so has the
// target with which a handler calls its caller.
//
//   Start ──► options, interceptors ──► one attempt ───────────────────────► a link of the source
//                    └──► several: CallDriver ──► SendAttempt ──► WaitingRoom ──┘  ▲
//                                       a call that no server has taken: SendAgain ┘
//
// A starter has a home loop, on which calls wait and attempts are decided on. Its links may be on
// other loops.
//
// Threads  any; Close once
// Owns     its room, its budget and its counts; calls stay their starters'
// Errors   a call that cannot be sent completes with a Status, on the home loop
// Ends     Close ends the source and with it every call; afterwards Start ends them with
//          UNAVAILABLE
#ifndef WEFT_RPC_CLIENT_CALL_STARTER_H_
#define WEFT_RPC_CLIENT_CALL_STARTER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/client/attempt_host.h"
#include "weft/rpc/client/call_driver.h"
#include "weft/rpc/client/link_source.h"
#include "weft/rpc/client/retry_budget.h"
#include "weft/rpc/client/start_config.h"
#include "weft/rpc/client/waiting_room.h"

namespace weft::internal {

class CallStarter final : public CallTarget, public CallResender, public AttemptHost {
 public:
  // How often a call that no server has taken is sent again.
  static constexpr int kMaxResends = 3;

  // Watches `source`. `target`: for texts and interceptors.
  CallStarter(std::shared_ptr<LinkSource> source, IoThread& home,
              std::shared_ptr<const StartConfig> config, std::string target);
  ~CallStarter() override = default;
  // Sets the owner that keeps this alive. Call it before the first call.
  void SetKeeper(std::weak_ptr<const void> keeper);

  void Start(OutboundCall& call) override;
  // Ends everything; `done` runs on the home loop when that is done, or where that has closed.
  void Close(std::function<void()> done);

  const std::string& target() const { return room_.target(); }
  const AttemptCounts& attempt_counts() const { return attempt_counts_; }
  // Of all starters with these settings; nothing where they do not count.
  std::vector<CallStatsSnapshot> Stats() const {
    return stats_ == nullptr ? std::vector<CallStatsSnapshot>() : stats_->Snapshot();
  }
  int64_t resent() const { return resent_.load(std::memory_order_relaxed); }

  // CallResender
  bool SendAgain(OutboundCall& call, const CallEnd& end) override;

  // AttemptHost
  void SendAttempt(OutboundCall& attempt) override;
  void Report(uint64_t link, const CallEnd& end, Nanos took) override;
  bool InHome() const override { return loop_->InLoop(); }
  void Post(std::function<void()> task) override;
  void PostEnd(std::function<void(bool closed)> task) override;
  MonoTime Now() const override { return loop_->clock().Now(); }
  std::string_view WhyOver() const override {
    return room_.closed() ? "the channel was closed" : source_->WhyOver();
  }
  void WakeAt(CallDriver& driver, MonoTime at) override;
  void DontWake(CallDriver& driver) override;

 private:
  // False: the call has one attempt, as most have.
  bool StartDriven(OutboundCall& call);
  // Sends the call over a link that takes it, or to the waiting room. `in_loop`: this is the home
  // loop.
  void Send(OutboundCall& call, bool in_loop);
  void CloseOnHome() WEFT_LOOP_ONLY;

  // Fixed at construction, the keeper by SetKeeper.
  const std::shared_ptr<LinkSource> source_;
  IoThread& home_;
  const std::shared_ptr<EventLoop> loop_;
  const std::shared_ptr<const StartConfig> config_;
  CallStats* const stats_;  // the settings', or null
  const bool all_driven_;
  LinkSlot* const slot_;     // the source's, or null
  const bool slot_is_home_;  // it is set on loop_
  std::weak_ptr<const void> keeper_;

  WaitingRoom room_;
  RetryBudget budget_;
  AttemptCounts attempt_counts_;
  std::atomic<int64_t> resent_{0};
  // Drivers that wait for WakeAt, with the order in which they began to wait. Close ends them in
  // that order, so that a simulation repeats.
  absl::flat_hash_map<CallDriver*, uint64_t> to_wake_ WEFT_LOOP_OWNED;
  uint64_t last_wait_ WEFT_LOOP_OWNED = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_CALL_STARTER_H_
