// A unary call in three styles over one core: blocking, with a callback, as a coroutine.
//
// Generated stubs call these. One result type in all three: absl::StatusOr<Reply>, delivered
// exactly once.
//
// Threads  any. CallBlocking waits: not under a lock that a callback takes, and refused on an I/O
//          thread, where it would wait for itself
// Errors   absl::Status that names peer, phase, cause and time; see docs/errors.md
#ifndef WEFT_RPC_CALL_UNARY_CALL_H_
#define WEFT_RPC_CALL_UNARY_CALL_H_

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/event_loop.h"
#include "weft/core/executor.h"
#include "weft/core/parker.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_memory.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/coro_call.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

// Runs on the channel's I/O thread, which it must not block, or on CallOptions::executor; once, and
// never inside a call that the application makes (core/callback_queue.h), so never under a lock
// held around one. Its exceptions are caught, counted and logged (Runtime::callback_throws).
template <typename Reply>
using Callback = absl::AnyInvocable<void(absl::StatusOr<Reply>) &&>;

namespace internal {

// Copies the facts of a call's end to its ClientContext.
void TellContext(const OutboundCall& call, const CallEnd& end);
// Returns the end's status, with the number of the attempt if the call was sent several times.
absl::Status ErrorOf(const OutboundCall& call, const CallEnd& end);
// Parses a reply that was compressed, or has an attachment.
absl::Status ParseWhole(const OutboundCall& call, const CallEnd& end,
                        google::protobuf::MessageLite* out);
// Parses a reply that is just a message.
absl::Status ParsePlain(const OutboundCall& call, const CallEnd& end,
                        google::protobuf::MessageLite* out);
// Returns the reason why a blocking call must not be made on this thread, or OK.
absl::Status CheckMayBlock(const MethodInfo& method);
// Waits for the reply. It polls for a short while before it sleeps.
void WaitForReply(Parker& parker);

// Parses the reply of a call that ended well into the message inside `result`. The message is
// parsed where it will stay: moving one costs as much as parsing a small one.
template <typename Reply>
void ParseReply(const OutboundCall& call, const CallEnd& end, absl::StatusOr<Reply>* result) {
  Reply& reply = **result;
  absl::Status s =
      end.whole_reply != nullptr ? ParseWhole(call, end, &reply) : ParsePlain(call, end, &reply);
  if (!s.ok()) *result = std::move(s);
}

// Turns the end of a call into the caller's result.
template <typename Reply>
void TakeResult(const OutboundCall& call, const CallEnd& end, absl::StatusOr<Reply>* result) {
  if (call.options.context != nullptr) TellContext(call, end);
  if (!end.status.ok()) {
    *result = ErrorOf(call, end);
    return;
  }
  result->emplace();
  ParseReply(call, end, result);
}

template <typename Reply>
absl::StatusOr<Reply> ParsedReply(const OutboundCall& call, const CallEnd& end) {
  absl::StatusOr<Reply> result(absl::in_place);
  ParseReply(call, end, &result);
  // The only return statement, so that the compiler constructs the result in the caller's place.
  return result;
}

template <typename Reply>
absl::StatusOr<Reply> ResultOfCall(const OutboundCall& call, const CallEnd& end) {
  if (call.options.context != nullptr) TellContext(call, end);
  if (!end.status.ok()) return ErrorOf(call, end);
  return ParsedReply<Reply>(call, end);
}

template <typename Reply>
class BlockingCall final : public OutboundCall {
 public:
  BlockingCall(const MethodInfo& m, const google::protobuf::MessageLite& r, const CallOptions& o)
      : OutboundCall(m, r, o) {
    // The caller waits in CallBlocking: its request and context stay where they are.
    request.SetStays();
    context_stays_ = true;
  }
  void Complete(const CallEnd& end) override {
    TakeResult(*this, end, &result);
    parker.Unpark();  // from here on the caller may be gone with this object
  }
  absl::StatusOr<Reply> result;
  Parker parker;
};

template <typename Reply>
class CallbackCall final : public OutboundCall {
 public:
  // Allocates the call and, if the request is not larger than kMaxKept, the request's bytes behind
  // it in the same block.
  static CallbackCall& New(const MethodInfo& m, const google::protobuf::MessageLite& r,
                           const CallOptions& o, Callback<Reply>&& done) {
    const size_t size = MessageCodec::ByteSize(r);
    const bool keep = size <= kMaxKept;
    void* const memory = CallMemory::Take(sizeof(CallbackCall) + (keep ? size : 0));
    auto* const call = new (memory) CallbackCall(m, r, o, std::move(done));
    if (keep) call->request.KeepIn(static_cast<char*>(memory) + sizeof(CallbackCall), size);
    return *call;
  }
  // Unsized delete: the block may be larger than the object.
  static void operator delete(void* memory) { CallMemory::Give(memory); }

  void Complete(const CallEnd& end) override {
    // Fast path: no other code of the application is on this thread's stack, so call back here and
    // now. Otherwise the reply is parsed here, for its bytes are valid only during Complete, and
    // the result goes to the executor or to the loop's callback queue.
    if (options.executor == nullptr) {
      if (CallbackQueue* const queue = CallbackQueue::FreeAt(nullptr)) {
        const CallbackQueue::Scope in_callback(queue);
        const std::unique_ptr<CallbackCall> self(this);
        GuardedCall(kWhat, [&] { std::move(done_)(ResultOfCall<Reply>(*this, end)); });
        return;
      }
    }
    const std::unique_ptr<CallbackCall> self(this);
    auto tell = [done = std::move(done_), result = ResultOfCall<Reply>(*this, end)]() mutable {
      std::move(done)(std::move(result));
    };
    if (options.executor != nullptr) {
      CallbackQueue::Execute(*options.executor, kWhat, std::move(tell));
    } else {
      CallbackQueue::Call(nullptr, kWhat, std::move(tell));
    }
  }

 private:
  CallbackCall(const MethodInfo& m, const google::protobuf::MessageLite& r, const CallOptions& o,
               Callback<Reply>&& done)
      : OutboundCall(m, r, o), done_(std::move(done)) {}

  static constexpr char kWhat[] = "a call's callback";

  Callback<Reply> done_;
};

}  // namespace internal

template <typename Request, typename Reply>
absl::StatusOr<Reply> CallBlocking(CallTarget& target, const UnaryMethod<Request, Reply>& method,
                                   const Request& request, const CallOptions& options) {
  if (internal::EventLoop::Current() != nullptr) return internal::CheckMayBlock(method);
  internal::BlockingCall<Reply> call(method, request, options);
  target.Start(call);
  internal::WaitForReply(call.parker);
  return std::move(call.result);
}

template <typename Request, typename Reply>
void CallAsync(CallTarget& target, const UnaryMethod<Request, Reply>& method,
               const Request& request, const CallOptions& options, Callback<Reply> done) {
  target.Start(internal::CallbackCall<Reply>::New(method, request, options, std::move(done)));
}

template <typename Request, typename Reply>
CoroCall<Reply> CallCoro(CallTarget& target, const UnaryMethod<Request, Reply>& method,
                         const Request& request, const CallOptions& options) {
  auto state = internal::CoroCallState<Reply>::New(method, request, options);
  state->Launch(target, state);
  return CoroCall<Reply>(std::move(state));
}

}  // namespace weft

#endif  // WEFT_RPC_CALL_UNARY_CALL_H_
