// Lets the calls of one connection through to their sink once the authenticator has said who makes
// each of them.
//
//   OnCall ─► waits ─┬─ verdict: who it is ─► the sink behind it
//                    ├─ verdict: an error ─► refused
//                    └─ cancelled, past its deadline, its connection's end ─► refused
//
// The token is that of the metadata "authorization"; a call without it has the token of the
// connection's Hello. Nothing is remembered from one call to the next. Calls of methods with an
// order reach the sink in the order in which they came.
//
// Threads  loop-only; verdicts come from any thread
// Owns     the calls' places here; shares the queue. Calls stay their pool's
// Errors   a refused call ends with the authenticator's code, in a text that names the call, the
//          peer and the cause; one with two tokens, UNAUTHENTICATED
// Ends     lives as long as its session, and sees to it that no call waits here after
//          OnAllCancelled
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

namespace weft {

class CallAuthentication final : public InboundSink {
 public:
  // `io` and `all`, which takes the calls, outlive this. `transport`: the connection's.
  CallAuthentication(IoThread& io, InboundSink& all, std::shared_ptr<AuthenticationQueue> queue,
                     const TransportIdentity& transport);
  ~CallAuthentication() override;
  CallAuthentication(const CallAuthentication&) = delete;
  CallAuthentication& operator=(const CallAuthentication&) = delete;

  // That of the peer's Hello, before any call.
  void SetToken(std::string_view token) LOOP_ONLY { token_ = std::string(token); }

  const BoundMethod* Find(std::string_view full_name) LOOP_ONLY override {
    return all_.Find(full_name);
  }
  absl::Status Unknown(std::string_view full_name) LOOP_ONLY override {
    return all_.Unknown(full_name);
  }
  void OnCallBegins(InboundCall& call) LOOP_ONLY override { all_.OnCallBegins(call); }
  void OnCall(InboundCall& call) LOOP_ONLY override;
  void OnLookedThrough(size_t size) LOOP_ONLY override { all_.OnLookedThrough(size); }
  void OnCancelled(InboundCall& call) LOOP_ONLY override;
  void OnAllCancelled(CallOrigin& origin) LOOP_ONLY override;

 private:
  // Smaller requests are copied: a call may wait for long, and would keep the block of input.
  static constexpr size_t kSmall = size_t{4} << 10;

  class Waiting final : public DeadlineEntry {
   public:
    Waiting(CallAuthentication& owner, InboundCall& waits, uint64_t asked_as)
        : call(waits), number(asked_as), owner_(owner) {}
    void OnDeadline() override { owner_.OnDeadline(*this); }

    InboundCall& call;
    const uint64_t number;                        // its own: calls are used again
    uint64_t question = 0;                        // in the queue
    std::unique_ptr<const std::string> identity;  // once it is let in; it then waits for its turn

   private:
    CallAuthentication& owner_;
  };

  void OnVerdict(InboundCall& call, uint64_t number,
                 absl::StatusOr<std::string> identity) LOOP_ONLY;
  void OnDeadline(Waiting& waiting);
  // It waits here no more.
  std::unique_ptr<Waiting> TakeOut(InboundCall& call) LOOP_ONLY;
  void Pass(InboundCall& call) LOOP_ONLY;
  // Those that have an order and whose turn it is.
  void PassOrdered() LOOP_ONLY;
  void Refuse(InboundCall& call, const absl::Status& why) LOOP_ONLY;
  // It is waiting, and nobody wants it any more.
  void EndCancelled(InboundCall& call) LOOP_ONLY;

  IoThread& io_;
  InboundSink& all_;
  const std::shared_ptr<AuthenticationQueue> queue_;
  const TransportIdentity transport_;
  std::string token_ LOOP_OWNED;
  uint64_t last_ LOOP_OWNED = 0;
  std::unordered_map<const InboundCall*, std::unique_ptr<Waiting>> waiting_ LOOP_OWNED;
  // Of them: those of methods with an order that have no place in it yet.
  std::deque<Waiting*> ordered_ LOOP_OWNED;
  // A verdict that comes later finds this gone.
  const std::shared_ptr<CallAuthentication*> self_;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CALL_AUTHENTICATION_H_
