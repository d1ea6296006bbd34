// Keeps one address connected: dials it, shakes hands, pauses after failures, ends the connection
// that nobody uses, and leaves the one that the other side goes away from.
//
//   kIdle ──a connection is asked for──► kConnecting ──the session is up──► kUp
//   kConnecting, kUp ──it failed, or ended at once──► kPausing
//   kPausing ──the pause is over, or somebody cannot wait──► kConnecting
//   kUp ──lost, or not used──► kIdle
//   kIdle, kConnecting, kUp, kPausing ──Close──► kClosed
//
// A link is there in kUp only. From kIdle a lost connection is dialled again at once, a failed
// attempt after a pause that grows; where the server has refused this side's identity, from a
// second on. There is one session at a time that calls may go over, and beside it those that only
// finish theirs.
//
// A Channel makes one, and a Node one for the way to itself. It is shared: tasks that it has posted
// to its loop keep it until they have run.
//
// Threads  any: what LinkSource has, and the counts. Everything else: its loop
// Owns     its sessions, its dialer, and what serves the other side's calls
// Errors   Pick: the last failure, with the time to the next attempt, while it pauses; UNAVAILABLE
//          when it is closed
// Ends     Close ends its sessions, which end their calls; its memory stays until that is done
#ifndef WEFT_RPC_CLIENT_ENDPOINT_CONNECTION_H_
#define WEFT_RPC_CLIENT_ENDPOINT_CONNECTION_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/core/log.h"
#include "weft/core/loop_group.h"
#include "weft/core/mutex.h"
#include "weft/core/timer.h"
#include "weft/rpc/client/dial_pauses.h"
#include "weft/rpc/client/dialer.h"
#include "weft/rpc/client/endpoint_options.h"
#include "weft/rpc/client/endpoint_sessions.h"
#include "weft/rpc/client/inbound_service.h"
#include "weft/rpc/client/link_slot.h"
#include "weft/rpc/client/link_source.h"
#include "weft/rpc/client/outage_log.h"
#include "weft/rpc/protocol/idle_watch.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_config.h"
#include "weft/rpc/protocol/session_host.h"

namespace weft::internal {

class EndpointConnection final : public LinkSource,
                                 public SessionHost,
                                 public std::enable_shared_from_this<EndpointConnection> {
 public:
  enum class State : uint8_t { kIdle, kConnecting, kUp, kPausing, kClosed };
  // True if `to` may follow `from`, as drawn above.
  static bool MayFollow(State from, State to);

  EndpointConnection(IoThread& io, const Log& log, EndpointOptions options);
  ~EndpointConnection() override;

  // LinkSource
  PickedLink Pick(const PickRequest& request, absl::Status* why) override WEFT_EXCLUDES(mu_);
  LinkSlot* slot() override { return &slot_; }
  void Watch(LinkObserver* observer) override { observer_ = observer; }
  void Connect(bool at_once) override;
  void Close(std::function<void()> done) override WEFT_EXCLUDES(mu_);

  const std::string& target() const { return options_.target; }
  std::vector<ConnectionInfo> connections() const { return sessions_.List(loop_->clock().Now()); }
  int64_t connects() const { return counts_.connects.load(std::memory_order_relaxed); }
  int64_t failed_connects() const { return counts_.failed.load(std::memory_order_relaxed); }
  int64_t late_replies() const { return counts_.late_replies.load(std::memory_order_relaxed); }

 private:
  // Objects that refer to the loop: made and destroyed on it.
  struct OnLoop {
    OnLoop(EventLoop& loop, EndpointConnection* self);
    Dialer dialer;
    Timer pause;
    Timer idle_look;
    std::unique_ptr<Timer> lasting;  // while an outage may be over
  };
  struct Published {
    State state = State::kIdle;
    std::shared_ptr<const NumberedLink> link;  // only in kUp
    absl::Status last_error;                   // in kPausing
  };
  struct Pace {
    DialPauses pauses;
    OutageLog outage;
    MonoTime dial_began{};
    MonoTime up_since{};
    IdleWatch idle = {};  // of the connection that is up
  };
  struct Counts {
    std::atomic<int64_t> connects{0}, failed{0}, late_replies{0};
  };

  // SessionHost
  void OnUp(Session& session) WEFT_LOOP_ONLY override;
  void OnGoingAway(Session& session, const absl::Status& why) WEFT_LOOP_ONLY override;
  void OnLastCallEnded(Session& session) WEFT_LOOP_ONLY override;
  void OnGoAwayConfirmed(Session& session) WEFT_LOOP_ONLY override;
  void OnSuspect(Session& session, bool suspect) WEFT_LOOP_ONLY override;
  void OnEnded(Session& session, CloseReason reason,
               const absl::Status& why) WEFT_LOOP_ONLY override;
  void Authenticate(Session& session, std::string_view token,
                    Verdict verdict) WEFT_LOOP_ONLY override;
  void CountLateReply() WEFT_LOOP_ONLY override {
    counts_.late_replies.fetch_add(1, std::memory_order_relaxed);
  }

  void set_state(State to) WEFT_REQUIRES(mu_);
  // The link that Pick gives, and the state that goes with it.
  void SetLink(State to, std::shared_ptr<const NumberedLink> link) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_);
  void BeginConnect() WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  void OnConnected(absl::StatusOr<std::unique_ptr<Transport>> transport) WEFT_LOOP_ONLY;
  void ConnectFailed(const absl::Status& why, LinkObserver::NoLink how) WEFT_LOOP_ONLY
      WEFT_EXCLUDES(mu_);
  // `told`: the other side has said that it goes.
  void LinkLost(const absl::Status& why, bool told) WEFT_LOOP_ONLY;
  // After an outage a connection counts when it has lasted: it may be refused at once.
  void AwaitLasting() WEFT_LOOP_ONLY;
  void LookForIdle() WEFT_LOOP_ONLY;
  void CloseIfIdle(Session& session) WEFT_LOOP_ONLY;
  void CloseOnLoop() WEFT_LOOP_ONLY;

  // Fixed at construction, the observer by Watch.
  IoThread& io_;
  const std::shared_ptr<EventLoop> loop_;
  const Log log_;
  const EndpointOptions options_;
  const std::shared_ptr<const SessionConfig> config_;  // of all sessions
  LinkObserver* observer_ = nullptr;

  // The loop's own.
  std::unique_ptr<OnLoop> on_loop_ WEFT_LOOP_OWNED;
  std::shared_ptr<InboundService> inbound_ WEFT_LOOP_OWNED;  // from the first connection on
  EndpointSessions sessions_;
  // The published link once more, for the loop, which reads it without the lock.
  std::shared_ptr<const NumberedLink> loop_link_ WEFT_LOOP_OWNED;
  Pace pace_ WEFT_LOOP_OWNED;

  mutable Mutex mu_;
  Published published_ WEFT_GUARDED_BY(mu_);
  LinkSlot slot_;  // has the published link, for threads that do not take the mutex

  Counts counts_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ENDPOINT_CONNECTION_H_
