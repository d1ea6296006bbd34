// A call that this side started. It completes exactly once.
//
//   kNew ──PrepareAgain: it waits for a link──► kWaiting
//   kNew, kWaiting ──SetInFlight──► kInFlight
//   kInFlight ──PrepareAgain: no server has taken it──► kWaiting
//   kNew, kWaiting, kInFlight ──End──► kEnded
//
// Whatever takes the call out of the table of its carrier completes it: the reply, the deadline,
// cancelling, the end of the connection. Nobody else can, for it is not in the table any more.
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
#include "weft/core/deadline_wheel.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/base/method.h"
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

namespace weft {

class InflateGate;

// How a call ended.
struct CallEnd {
  absl::Status status;
  // The reply's bytes, valid during Complete; only when status is OK.
  const char* reply = nullptr;
  size_t reply_size = 0;
  // Only of a reply that was compressed, or has an attachment: all of it, instead of `reply`.
  const ReceivedMessage* whole_reply = nullptr;
  size_t max_message = 0;
  InflateGate* gate = nullptr;
  // Raw metadata of the reply.
  std::string_view trailers;
  Nanos handler_time{};
  bool may_have_been_executed = true;
  // Who ended it: a session (the peer's answer, its own deadline or end); the channel, which had no
  // connection for it.
  enum class By : uint8_t { kSession, kChannel };
  By by = By::kSession;
  int attempts = 1;  // that were made, beside those that the call itself counts as resent
};

class OutboundCall;

// Who sends a call again that no server has taken: its channel.
class CallResender {
 public:
  // On the channel's loop, inside the call's End. True: the call goes on and completes later.
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

  // Its target's: written while the call is kNew, before anybody else sees it.
  struct Plan {
    MonoTime started{};
    MonoTime deadline = kNever;
    CallResender* resender = nullptr;  // null: it is sent once
    // What its messages are compressed with.
    Compression codec = Compression::kNone;
    // Of the handler that made the call; set before wants_handle is asked.
    std::shared_ptr<CallScope> scope;
    // Made by the target's interceptors before the call is sent; null when it has none.
    std::unique_ptr<ClientInterception> interception;
  };
  // Its carrier's, under the carrier's lock or on its loop: a link's, or the waiting calls'.
  struct Wire {
    uint64_t id = 0;
    MonoTime sent{};        // handed to the connection; unset: it was not
    uint64_t position = 0;  // where its frame begins in the connection's output
    class DeadlineTarget* deadline_target = nullptr;  // who ends it when its time has come
    OutboundCall* next = nullptr;  // in a list of calls that are being moved or ended
    // Raw, of the last try; null: none has come.
    std::unique_ptr<const std::string> initial_metadata;
  };
  // Its channel's, while it has no link.
  struct Waits {
    size_t request_size = 0;
    // How often no server had taken it; others of the same call's attempts are counted with it.
    std::atomic<uint8_t> resent{0};
  };

  OutboundCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
               const CallOptions& wishes)
      : method(called), request(message), options(wishes) {}

  // Ends the call, by its carrier: the one way to do so. The call may be gone when it returns.
  // One that was certainly not executed may go on instead.
  void End(const CallEnd& end) {
    if (!end.status.ok() && !end.may_have_been_executed && plan_.resender != nullptr &&
        plan_.resender->SendAgain(*this, end)) {
      return;
    }
    set_state(State::kEnded);
    if (plan_.interception == nullptr) {
      Complete(end);
    } else {
      Complete(plan_.interception->End(*this, end));
    }
  }
  // A message of the call is being sent, or has come: by whoever sends and receives streams. An
  // error of an interceptor: the call is to end with it.
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
  // Nothing but a request and its reply.
  bool plain() const {
    return options.context == nullptr && plan_.interception == nullptr && own_ == nullptr &&
           stream == nullptr;
  }

  // True: Start must call Started before the call can end, for its starter may want to cancel it.
  virtual bool wants_handle() const { return options.context != nullptr || plan_.scope != nullptr; }
  virtual void Started(CallHandle handle);
  // Where it may be sent, by whoever looks for a link; and where it is sent now: over link number
  // `link` of its source.
  virtual void DescribePick(PickRequest*) const {}
  virtual void OnPicked(uint64_t link) { (void)link; }
  // Before it waits, or is sent again: takes along what may go meanwhile. False: nobody waits for
  // its end any more.
  virtual bool PrepareAgain();
  // A link, or whoever sends it several times, has it now.
  void SetInFlight() { set_state(State::kInFlight); }

  // What came before the reply and its messages: at most once a try, on the carrier's loop.
  virtual void OnInitialMetadata(std::string_view raw) {
    wire_.initial_metadata = std::make_unique<const std::string>(raw);
  }

  // Is sent in place of what the context says.
  void KeepMetadata(const Metadata& metadata);
  void KeepAttachment(const absl::Cord& attachment);
  // For the text of a deadline error: what came before it was handed to the connection, and after.
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
  // What the starter makes of the end.
  virtual void Complete(const CallEnd& end) = 0;

  // The starter's: whoever called waits until Complete, and its context stays as long.
  bool context_stays_ = false;

 private:
  // What it takes along where it cannot refer to it: a coroutine that is dropped, say, takes its
  // context with it.
  struct Own {
    std::optional<Metadata> metadata;
    std::optional<absl::Cord> attachment;
  };
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

// Who ends a call whose deadline has come.
class DeadlineTarget {
 public:
  virtual void OnCallDeadline(OutboundCall& call) = 0;

 protected:
  ~DeadlineTarget() = default;
};

inline void OutboundCall::OnDeadline() { wire_.deadline_target->OnCallDeadline(*this); }

}  // namespace weft

#endif  // WEFT_RPC_CALL_OUTBOUND_CALL_H_
