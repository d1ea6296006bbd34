// What a channel is on its loop: one connection kept up, and the calls that wait for it.
//
//   kIdle ──call──► kConnecting ──► kUp ──lost──► kConnecting     kClosed: from any state, for good
//                     ▲     │ failed
//                     │     ▼
//                     └── kPausing            calls wait in kConnecting and fail in kPausing
//
// Threads  any: Start, CancelCall, Connect, counts. Everything else: its loop
// Owns     its session and connector; calls that wait stay their starters'
// Errors   a call that cannot be sent completes with a Status, on the loop
// Ends     Close completes every call; afterwards Start ends them with UNAVAILABLE
#ifndef WEFT_RPC_CLIENT_CHANNEL_CORE_H_
#define WEFT_RPC_CLIENT_CHANNEL_CORE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "weft/core/loop_group.h"
#include "weft/core/mutex.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/client/attempt_host.h"
#include "weft/rpc/client/backoff.h"
#include "weft/rpc/client/call_driver.h"
#include "weft/rpc/client/dialer.h"
#include "weft/rpc/client/inbound_service.h"
#include "weft/rpc/client/retry_budget.h"
#include "weft/rpc/client/waiting_calls.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/protocol/idle_watch.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_config.h"
#include "weft/rpc/protocol/session_host.h"

namespace weft {

class ChannelCore final : public CallCanceller,
                          public std::enable_shared_from_this<ChannelCore>,
                          public SessionHost,
                          public DeadlineTarget,
                          public CallResender,
                          public AttemptHost {
 public:
  // How often a call that no server has taken is sent again.
  static constexpr int kMaxResends = 3;

  // `options.protocol` has a value that dials. `in_handler`: this thread may be inside a handler of
  // the channel's services; null: it has none.
  ChannelCore(IoThread& io, const Log& log, HostPort address, std::string target,
              ChannelOptions options, InboundService::Maker make_inbound = nullptr,
              std::function<bool()> in_handler = nullptr);
  ~ChannelCore() override;

  ANY_THREAD void Start(OutboundCall& call) WEFT_EXCLUDES(mu_);
  ANY_THREAD void Connect();
  ANY_THREAD void CancelCall(uint64_t id) override;
  // Ends everything; returns when that is done. On an I/O thread, in a callback and in a handler of
  // the channel's services it begins to, and returns at once; `kept` stays until it is done.
  ANY_THREAD void Close(std::shared_ptr<const void> kept = nullptr) WEFT_EXCLUDES(mu_);

  EventLoop& loop() { return *loop_; }
  const std::string& target() const { return target_; }
  int64_t connects() const { return connects_.load(std::memory_order_relaxed); }
  int64_t failed_connects() const { return failed_connects_.load(std::memory_order_relaxed); }
  int64_t resent() const { return resent_.load(std::memory_order_relaxed); }
  std::vector<ConnectionInfo> connections() const { return list_.List(loop_->clock().Now()); }
  const AttemptCounts& attempt_counts() const { return attempt_counts_; }
  int64_t late_replies() const { return late_replies_.load(std::memory_order_relaxed); }

 private:
  enum class State : uint8_t { kIdle, kConnecting, kUp, kPausing, kClosed };
  // The loop's things that refer to the loop: made and destroyed on it.
  struct OnLoop {
    OnLoop(EventLoop& loop, ChannelCore* core);
    Dialer dialer;
    Timer pause;
    Timer idle_look;
  };

  // SessionHost
  void OnUp(Session& session) LOOP_ONLY override;
  void OnGoingAway(Session& session, const absl::Status& why) LOOP_ONLY override;
  void OnLastCallEnded(Session& session) LOOP_ONLY override;
  void OnGoAwayConfirmed(Session& session) LOOP_ONLY override;
  void OnSuspect(Session& session, bool suspect) LOOP_ONLY override;
  void OnEnded(Session& session, CloseReason reason, const absl::Status& why) LOOP_ONLY override;
  void Authenticate(Session& session, std::string_view token, Verdict verdict) LOOP_ONLY override;
  void CountLateReply() LOOP_ONLY override {
    late_replies_.fetch_add(1, std::memory_order_relaxed);
  }

  void OnCallDeadline(OutboundCall& call) override;

  bool SendAgain(OutboundCall& call, const CallEnd& end) override WEFT_EXCLUDES(mu_);

  // AttemptHost
  void SendAttempt(OutboundCall& attempt) override WEFT_EXCLUDES(mu_);
  void Post(std::function<void()> task) override;
  MonoTime Now() const override { return loop_->clock().Now(); }
  bool closed() const override WEFT_EXCLUDES(mu_);
  void WakeAt(CallDriver& driver, MonoTime at) override;
  void DontWake(CallDriver& driver) override;

  // False: the call has one attempt, as most have.
  bool StartDriven(OutboundCall& call) WEFT_EXCLUDES(mu_);
  void Send(OutboundCall& call, CallLink* link) WEFT_EXCLUDES(mu_);
  void WaitForLink(OutboundCall& call, const CallLink* gone) WEFT_EXCLUDES(mu_);
  void CompleteLater(OutboundCall& call, absl::Status status);
  void CompleteNow(OutboundCall& call, const absl::Status& status) WEFT_EXCLUDES(mu_);
  absl::Status Annotated(const OutboundCall& call, const absl::Status& why) const;

  void BeginConnect() LOOP_ONLY;
  void OnConnected(absl::StatusOr<std::unique_ptr<Transport>> transport) LOOP_ONLY;
  void ConnectFailed(const absl::Status& why,
                     WaitingCalls::Which failing = WaitingCalls::Which::kFailFast) LOOP_ONLY;
  bool SendWaiting(std::shared_ptr<CallLink> link) LOOP_ONLY;
  void WaitOn(OutboundCall& call) LOOP_ONLY WEFT_EXCLUDES(mu_);
  void FailWaiting(const absl::Status& why, WaitingCalls::Which which) LOOP_ONLY;
  OutboundCall* TakeWaiting(uint64_t id) WEFT_EXCLUDES(mu_);  // on the loop, or after its end
  void SetLink(std::shared_ptr<CallLink> link) LOOP_ONLY WEFT_EXCLUDES(mu_);
  void PutLink(std::shared_ptr<CallLink> link) LOOP_ONLY WEFT_REQUIRES(mu_);
  void DrainInbound(std::function<void()> done) LOOP_ONLY;
  void CloseBehind(std::function<void()> done);
  void CloseOnLoop() LOOP_ONLY WEFT_EXCLUDES(mu_);
  void LinkLost(const absl::Status& why) LOOP_ONLY;
  void LookForIdle() LOOP_ONLY;
  void CloseIfIdle(Session& session) LOOP_ONLY;
  uint64_t IdOf(const Session& session) const LOOP_ONLY;

  // Fixed at construction.
  IoThread& io_;
  const std::shared_ptr<EventLoop> loop_;
  const Log log_;
  const HostPort address_;
  const std::string target_;
  const ChannelOptions options_;
  const std::shared_ptr<const SessionConfig> config_;  // of all sessions
  const Nanos default_timeout_;
  const InboundService::Maker make_inbound_;
  const std::function<bool()> in_handler_;
  const bool has_policies_;

  // The loop's own.
  std::unique_ptr<OnLoop> on_loop_ LOOP_OWNED;
  std::shared_ptr<InboundService> inbound_ LOOP_OWNED;  // from the first connection on
  std::unique_ptr<Session> session_ LOOP_OWNED;         // connecting or up
  struct Leaving {
    std::unique_ptr<Session> session;
    MonoTime since;
    absl::Status why;
  };
  std::vector<Leaving> leaving_ LOOP_OWNED;         // the server went away; their calls go on
  std::shared_ptr<CallLink> loop_link_ LOOP_OWNED;  // the same as link_, without the lock
  std::shared_ptr<CallLink> opening_ LOOP_OWNED;    // of session_, until it is up
  Backoff backoff_ LOOP_OWNED;
  MonoTime attempt_began_ LOOP_OWNED{};
  MonoTime up_since_ LOOP_OWNED{};

  absl::flat_hash_set<CallDriver*> to_wake_ LOOP_OWNED;

  absl::flat_hash_map<const Session*, uint64_t> ids_ LOOP_OWNED;  // in list_
  IdleWatch idle_watch_ LOOP_OWNED;

  ConnectionList list_;
  RetryBudget budget_;
  AttemptCounts attempt_counts_;

  mutable Mutex mu_;
  State state_ WEFT_GUARDED_BY(mu_) = State::kIdle;
  std::shared_ptr<CallLink> link_ WEFT_GUARDED_BY(mu_);  // only in kUp
  absl::Status last_error_ WEFT_GUARDED_BY(mu_);
  WaitingCalls waiting_ WEFT_GUARDED_BY(mu_){options_.limits.MaxOutput()};

  std::atomic<int64_t> connects_{0}, failed_connects_{0}, late_replies_{0}, resent_{0};
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_CHANNEL_CORE_H_
