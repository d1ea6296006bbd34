// A call that this side started. It completes exactly once.
//
//   kNew ──Start──► kWaiting (no session yet) ──► kInFlight ──► ended: Complete was called
//
// Whatever takes the call out of the table of its carrier completes it: the reply, the deadline,
// cancelling, the end of the connection. Nobody else can, for it is not in the table any more.
//
// Threads  the starter's until CallTarget::Start; then the carrier's, under its lock or on its loop
// Owns     nothing; its starter keeps it alive until Complete
// Ends     Complete runs exactly once, on the carrier's loop; on the starter's thread inside Start
// only when that
//          loop has closed. It may destroy the call
#ifndef WEFT_RPC_CALL_OUTBOUND_CALL_H_
#define WEFT_RPC_CALL_OUTBOUND_CALL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/deadline_wheel.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/interception.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {

// How a call ended.
struct CallEnd {
  absl::Status status;
  // The reply's bytes, valid during Complete; only when status is OK.
  const char* reply = nullptr;
  size_t reply_size = 0;
  // Raw metadata of the reply.
  std::string_view trailers;
  Nanos handler_time{};
  bool may_have_been_executed = true;
};

class OutboundCall : public DeadlineEntry {
 public:
  OutboundCall(const MethodInfo& called, const google::protobuf::MessageLite& message,
               const CallOptions& wishes)
      : method(called), request(&message), options(wishes) {}

  // Ends the call, by its carrier: the one way to do so. The call may be gone when it returns.
  void End(const CallEnd& end) {
    if (interception == nullptr) {
      Complete(end);
    } else {
      Complete(interception->End(*this, end));
    }
  }
  // A message of the call is being sent, or has come: by whoever sends and receives streams. An
  // error of an interceptor: the call is to end with it.
  absl::Status OnMessage(MessageDirection direction, size_t bytes) {
    return interception == nullptr ? absl::OkStatus() : interception->OnMessage(direction, bytes);
  }
  // Goes with the request; null where there is none.
  const Metadata* metadata() const;

  // True: Start must call Started before the call can end, for its starter may want to cancel it.
  virtual bool wants_handle() const { return options.context != nullptr || scope != nullptr; }
  virtual void Started(CallHandle handle);

  // DeadlineEntry: told by the wheel of the carrier's loop.
  void OnDeadline() override;

  // Fixed at construction.
  const MethodInfo& method;
  const google::protobuf::MessageLite* request;  // only during Start
  const CallOptions options;

  // Made by the target's interceptors before the call is sent; null when it has none.
  std::unique_ptr<ClientInterception> interception;

  // Of the handler that made the call; set by the target, before wants_handle is asked.
  std::shared_ptr<CallScope> scope;

  // The carrier's.
  uint64_t id = 0;
  MonoTime started{};
  MonoTime deadline = kNever;
  class DeadlineTarget* deadline_target = nullptr;  // who ends it when its time has come
  bool serialized = false;                          // waiting_request takes the place of request
  std::string waiting_request;                      // serialized, while it waits for a session
  Metadata waiting_metadata;  // copied then: a coroutine that is dropped takes its context with it
  uint64_t stream_position = 0;  // where its frame begins in the connection's output
  OutboundCall* next = nullptr;  // in a list of calls that are being moved or ended

 protected:
  ~OutboundCall() = default;
  // What the starter makes of the end.
  virtual void Complete(const CallEnd& end) = 0;

 private:
  struct CancelByScope {
    CallHandle handle;
    void operator()() const { handle.Cancel(); }
  };
  std::optional<std::stop_callback<CancelByScope>> cancel_by_scope_;
};

// Who ends a call whose deadline has come.
class DeadlineTarget {
 public:
  virtual void OnCallDeadline(OutboundCall& call) = 0;

 protected:
  ~DeadlineTarget() = default;
};

inline void OutboundCall::OnDeadline() { deadline_target->OnCallDeadline(*this); }

}  // namespace weft

#endif  // WEFT_RPC_CALL_OUTBOUND_CALL_H_
