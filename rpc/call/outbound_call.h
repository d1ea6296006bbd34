// A call that this side started. It completes exactly once.
//
//   kNew ──PrepareAgain: it waits for a link──► kWaiting
//   kNew, kWaiting ──SetInFlight──► kInFlight
//   kInFlight ──PrepareAgain: no server has taken it──► kWaiting
//   kNew, kWaiting, kInFlight ──End──► kEnded
//
// The reply, the deadline, a cancel and the end of the connection all first take the call out of
// the table of its carrier. The one that gets it there completes it, so no other can.
//
// Its fields are grouped by who writes them, and when: its starter at construction, its target
// before anybody else sees it (Plan), its channel (Waits), its carrier (Wire).
//
// Threads  the starter's until CallTarget::Start; then the carrier's, under its lock or on its loop
// Owns     copies of what it cannot refer to while it waits; its starter keeps it alive until
//          Complete
// Ends     Complete runs exactly once, on the carrier's loop; on the starter's thread inside Start
//          only when that loop has closed. It may destroy the call
#ifndef WEFT_RPC_CALL_OUTBOUND_CALL_H_
#define WEFT_RPC_CALL_OUTBOUND_CALL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "weft/core/check.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_entry.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/base/method_calls.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/interception.h"
#include "weft/rpc/call/outgoing_request.h"
#include "weft/rpc/call/pick_request.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class InflateGate;

// How a call ended.
struct CallEnd {
  absl::Status status;
  // The reply's bytes, valid during Complete; only when status is OK.
  const char* reply = nullptr;
  size_t reply_size = 0;
  // Set for a reply that was compressed or has an attachment: all of it, instead of `reply`.
  const ReceivedMessage* whole_reply = nullptr;
  MessageLimit max_message;
  InflateGate* gate = nullptr;
  // Raw metadata of the reply.
  std::string_view trailers;
  Nanos handler_time{};
  // When it came, where the one who ends it knows; unset: now.
  MonoTime at{};
  bool may_have_been_executed = true;
  // The side that ended it. kSession: the peer's answer, or the session's own deadline or end.
  // kChannel: the channel, which had no connection for the call.
  enum class By : uint8_t { kSession, kChannel };
  By by = By::kSession;
  // The call was not sent because the connection's output was full.
  bool output_full = false;
  int attempts = 1;  // that were made, beside those that the call itself counts as resent
};

class OutboundCall;

// Sends a call again that no server has taken. Implemented by its channel.
class CallResender {
 public:
  // Called on the channel's loop, inside the call's End. True: the call goes on and completes
  // later.
  virtual bool SendAgain(OutboundCall& call, const CallEnd& end) = 0;

 protected:
  ~CallResender() = default;
};

class OutboundCall : public DeadlineEntry {
 public:
  // A request up to this size is kept in its call's own memory, so that the call can be sent again.
  static constexpr size_t kMaxKept = 4096;

  enum class State : uint8_t { kNew, kWaiting, kInFlight, kEnded };
  static constexpr bool MayGo(State from, State to) {
    return from != to && from != State::kEnded && to != State::kNew;
  }

  // The target's part: written while the call is kNew, before anybody else sees it.
  struct Plan {
    MonoTime started{};
    MonoTime deadline = kNever;
    CallResender* resender = nullptr;  // null: it is sent once
    MethodCalls* counts = nullptr;     // its starter's; null: an attempt, which is not counted
    // The codec of this side's messages.
    Compression codec = Compression::kNone;
    // The scope of the handler that made the call; set before wants_handle is asked.
    std::shared_ptr<CallScope> scope;
    // Made by the target's interceptors before the call is sent; null when it has none.
    std::unique_ptr<ClientInterception> interception;
  };
  // The carrier's part, under the carrier's lock or on its loop. The carrier is a link, or the
  // waiting calls.
  struct Wire {
    uint64_t id = 0;
    MonoTime sent{};        // handed to the connection; unset: it was not
    uint64_t position = 0;  // where its frame begins in the connection's output
    class DeadlineTarget* deadline_target = nullptr;  // who ends it when its time has come
    OutboundCall* next = nullptr;  // in a list of calls that are being moved or ended
    // Raw, of the last try; null: none has come.
    std::unique_ptr<const std::string> initial_metadata;
  };
  // The channel's part, while the call has no link.
  struct Waits {
    size_t request_size = 0;
    // The number of times that it was sent again because no server had taken it. Attempts of the
    // same call count here together.
    std::atomic<uint8_t> resent{0};
  };

  OutboundCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
               const CallOptions& wishes)
      : method(called), request(message), options(wishes) {}

  // Ends the call. Only its carrier calls this, and it is the only way to end a call. The call may
  // be gone when End returns. A call that was certainly not executed may go on instead.
  void End(const CallEnd& end) {
    if (!end.status.ok() && !end.may_have_been_executed && plan_.resender != nullptr &&
        plan_.resender->SendAgain(*this, end)) {
      return;
    }
    set_state(State::kEnded);
    if (plan_.interception == nullptr) {
      CountAndComplete(end);
    } else {
      CountAndComplete(plan_.interception->End(*this, end));
    }
  }
  // Tells the interceptors of a message that is being sent, or has come. Called by the stream. An
  // interceptor's error: the call is to end with it.
  absl::Status OnMessage(MessageDirection direction, size_t bytes) {
    return plan_.interception == nullptr ? absl::OkStatus()
                                         : plan_.interception->OnMessage(direction, bytes);
  }
  // Goes with the request; null where there is none.
  const Metadata* metadata() const {
    return options.context == nullptr && plan_.interception == nullptr && own_ == nullptr
               ? nullptr
               : SomeMetadata();
  }
  // Goes with the request; null where there is none.
  const absl::Cord* attachment() const {
    return options.context == nullptr && own_ == nullptr ? nullptr : SomeAttachment();
  }
  // True for a call of nothing but a request and its reply: the fast path of the session.
  bool plain() const {
    return options.context == nullptr && plan_.interception == nullptr && own_ == nullptr &&
           stream == nullptr;
  }

  // True: Start must call Started before the call can end, for its starter may want to cancel it.
  virtual bool wants_handle() const { return options.context != nullptr || plan_.scope != nullptr; }
  virtual void Started(CallHandle handle);
  // DescribePick says where the call may be sent. OnPicked says where it is sent now: over link
  // number `link` of its source. Both are called by the code that looks for a link.
  virtual void DescribePick(PickRequest*) const {}
  virtual void OnPicked(uint64_t link) { (void)link; }
  // Called before the call waits or is sent again: it copies what may be gone by then. False:
  // nobody waits for its end any more.
  virtual bool PrepareAgain();
  // A link has the call now, or a driver that sends it several times.
  void SetInFlight() { set_state(State::kInFlight); }

  // Takes the initial metadata, which comes before the reply and its messages. At most once a try,
  // on the carrier's loop.
  virtual void OnInitialMetadata(std::string_view raw) {
    wire_.initial_metadata = std::make_unique<const std::string>(raw);
  }

  // From now on these copies are sent instead of those in the context.
  void KeepMetadata(const Metadata& metadata);
  void KeepAttachment(const absl::Cord& attachment);
  // Text for a deadline error: the time before the call was handed to the connection, and after.
  std::string WhereTimeWent(MonoTime now, bool written) const;
  // DeadlineEntry: told by the wheel of the carrier's loop.
  void OnDeadline() override;

  State state() const { return state_; }
  const Plan& plan() const { return plan_; }
  Plan& MakePlan() {
    WEFT_DCHECK(state_ == State::kNew);
    return plan_;
  }
  Wire& wire() { return wire_; }
  const Wire& wire() const { return wire_; }
  Waits& waits() { return waits_; }
  const Waits& waits() const { return waits_; }

  // The starter's, fixed before Start.
  const MethodInfo& method;
  OutgoingRequest request;
  const CallOptions options;

  // The messages of a call that streams; null for a unary one. Gone when the call is complete.
  std::shared_ptr<class StreamPort> stream;

 protected:
  ~OutboundCall() = default;
  // Gives the end to the starter.
  virtual void Complete(const CallEnd& end) = 0;

  // Set by the starter: the caller blocks until Complete, so its context lives as long.
  bool context_stays_ = false;

 private:
  // Copies for a call that may outlive its caller's context. A coroutine that is destroyed, for
  // example, takes its context with it.
  struct Own {
    std::optional<Metadata> metadata;
    std::optional<absl::Cord> attachment;
  };
  // Counts first: who has seen the end sees it counted.
  void CountAndComplete(const CallEnd& end) {
    if (plan_.counts != nullptr) plan_.counts->Ended(end.status, plan_.started, end.at);
    Complete(end);
  }
  void set_state(State to) {
    WEFT_DCHECK(MayGo(state_, to));
    state_ = to;
  }
  Own& own();
  const Metadata* SomeMetadata() const;
  const absl::Cord* SomeAttachment() const;

  struct CancelByScope {
    CallHandle handle;
    void operator()() const { handle.Cancel(); }
  };
  State state_ = State::kNew;
  Plan plan_;
  Wire wire_;
  Waits waits_;
  std::optional<std::stop_callback<CancelByScope>> cancel_by_scope_;
  std::unique_ptr<Own> own_;  // null for most calls
};

// Ends a call whose deadline has come.
class DeadlineTarget {
 public:
  virtual void OnCallDeadline(OutboundCall& call) = 0;

 protected:
  ~DeadlineTarget() = default;
};

inline void OutboundCall::OnDeadline() { wire_.deadline_target->OnCallDeadline(*this); }

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_OUTBOUND_CALL_H_
