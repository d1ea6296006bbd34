// Holds each call of one connection until the authenticator has said who makes it, then passes it
// to the sink behind. One for each session with ServerOptions::authenticate_calls.
//
//   OnCall ─► waits ─┬─ verdict: who it is ─► the sink behind it
//                    ├─ verdict: an error ─► refused
//                    └─ cancelled, past its deadline, its connection's end ─► refused
//
// The token comes from the metadata "authorization", else from the connection's Hello. No verdict
// is remembered from one call to the next. Calls of ordered methods reach the sink in the order of
// their arrival.
//
// Threads  loop-only; verdicts come from any thread
// Owns     the calls' places here; shares the queue. The calls belong to their pool
// Errors   a refused call ends with the authenticator's code and a text with the call, the peer and
//          the cause; UNAUTHENTICATED for a call with two tokens
// Ends     lives as long as its session; after OnAllCancelled no call waits here
#ifndef WEFT_RPC_PROTOCOL_CALL_AUTHENTICATION_H_
#define WEFT_RPC_PROTOCOL_CALL_AUTHENTICATION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/loop_group.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport_identity.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/protocol/authentication_queue.h"

namespace weft::internal {

class CallAuthentication final : public InboundSink {
 public:
  // `io` and `all`, which takes the calls, outlive this. `transport`: the connection's.
  CallAuthentication(IoThread& io, InboundSink& all, std::shared_ptr<AuthenticationQueue> queue,
                     const TransportIdentity& transport);
  ~CallAuthentication() override;
  CallAuthentication(const CallAuthentication&) = delete;
  CallAuthentication& operator=(const CallAuthentication&) = delete;

  // The token of the peer's Hello. Set before any call.
  void SetToken(std::string_view token) WEFT_LOOP_ONLY { token_ = std::string(token); }

  const BoundMethod* Find(std::string_view full_name) WEFT_LOOP_ONLY override {
    return all_.Find(full_name);
  }
  absl::Status Unknown(std::string_view full_name) WEFT_LOOP_ONLY override {
    return all_.Unknown(full_name);
  }
  void OnCallBegins(InboundCall& call) WEFT_LOOP_ONLY override { all_.OnCallBegins(call); }
  void OnCall(InboundCall& call) WEFT_LOOP_ONLY override;
  void OnLookedThrough(size_t size) WEFT_LOOP_ONLY override { all_.OnLookedThrough(size); }
  void OnCancelled(InboundCall& call) WEFT_LOOP_ONLY override;
  void OnAllCancelled(CallOrigin& origin) WEFT_LOOP_ONLY override;

 private:
  // Requests up to this size are copied: a waiting call would otherwise keep a whole input block
  // for long.
  static constexpr size_t kSmall = size_t{4} << 10;

  class Waiting final : public DeadlineEntry {
   public:
    Waiting(CallAuthentication& owner, InboundCall& waits, uint64_t asked_as)
        : call(waits), number(asked_as), owner_(owner) {}
    void OnDeadline() override { owner_.OnDeadline(*this); }

    InboundCall& call;
    const uint64_t number;  // unique: call objects are used again
    uint64_t question = 0;  // number in the queue; 0: answered
    // Set once it is let in; the call then waits for its turn.
    std::unique_ptr<const std::string> identity;

   private:
    CallAuthentication& owner_;
  };

  void OnVerdict(InboundCall& call, uint64_t number,
                 absl::StatusOr<std::string> identity) WEFT_LOOP_ONLY;
  void OnDeadline(Waiting& waiting);
  // Removes the call from here and drops its question.
  std::unique_ptr<Waiting> TakeOut(InboundCall& call) WEFT_LOOP_ONLY;
  void Pass(InboundCall& call) WEFT_LOOP_ONLY;
  // Passes ordered calls whose turn has come.
  void PassOrdered() WEFT_LOOP_ONLY;
  void Refuse(InboundCall& call, const absl::Status& why) WEFT_LOOP_ONLY;
  // Ends a waiting call that nobody wants any more.
  void EndCancelled(InboundCall& call) WEFT_LOOP_ONLY;

  IoThread& io_;
  InboundSink& all_;
  const std::shared_ptr<AuthenticationQueue> queue_;
  const TransportIdentity transport_;
  std::string token_ WEFT_LOOP_OWNED;
  uint64_t last_ WEFT_LOOP_OWNED = 0;
  std::unordered_map<const InboundCall*, std::unique_ptr<Waiting>> waiting_ WEFT_LOOP_OWNED;
  // Waiting calls of ordered methods that have no place in their order yet, oldest first.
  std::deque<Waiting*> ordered_ WEFT_LOOP_OWNED;
  // Null after destruction, so that a late verdict finds nothing.
  const std::shared_ptr<CallAuthentication*> self_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_CALL_AUTHENTICATION_H_
