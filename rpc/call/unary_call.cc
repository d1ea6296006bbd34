#include "weft/rpc/call/unary_call.h"

#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/attempt_text.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/context_writer.h"

namespace weft::internal {
namespace {

// A caller polls for about as long as a reply from the same machine takes, and then sleeps.
constexpr Nanos kCallerSpin = std::chrono::microseconds(20);

}  // namespace

void TellContext(const OutboundCall& call, const CallEnd& end) {
  const ContextWriter context(*call.options.context);
  const EventLoop* const loop = EventLoop::Current();
  const MonoTime now = (loop != nullptr ? loop->clock() : Clock::System()).Now();
  const bool sent = call.wire().sent != MonoTime();
  context.SetTimes(ToAbsl((sent ? call.wire().sent : now) - call.plan().started),
                   ToAbsl(now - call.plan().started));
  if (call.wire().initial_metadata != nullptr &&
      call.stream == nullptr) {  // a stream told it when it came
    context.SetInitialMetadata(*call.wire().initial_metadata);
  }
  Metadata trailers;
  (void)trailers.ReadFrom(end.trailers);  // up to damaged bytes: the reply is good
  if (end.whole_reply != nullptr) context.SetReplyAttachment(end.whole_reply->Attachment());
  context.SetEnd(std::move(trailers), ToAbsl(end.handler_time), end.may_have_been_executed,
                 end.attempts + call.waits().resent);
}

absl::Status ErrorOf(const OutboundCall& call, const CallEnd& end) {
  if (call.waits().resent == 0 || end.may_have_been_executed) return end.status;
  return WithAttempt(end.status, call.method, absl::StrCat("attempt ", 1 + call.waits().resent));
}

absl::Status ParseWhole(const OutboundCall& call, const CallEnd& end,
                        google::protobuf::MessageLite* out) {
  return Annotate(end.whole_reply->Parse(end.max_message, out, end.gate),
                  absl::StrCat("call ", std::string(call.method.full_name), ": the reply"));
}

absl::Status ParsePlain(const OutboundCall& call, const CallEnd& end,
                        google::protobuf::MessageLite* out) {
  const MessageCodec::Parsed parsed = MessageCodec::Parse(end.reply, end.reply_size, out);
  if (parsed == MessageCodec::Parsed::kDone) return absl::OkStatus();
  return MessageCodec::ParseError(parsed,
                                  absl::StrCat("call ", std::string(call.method.full_name), ": "),
                                  "reply", end.reply_size, *out);
}

absl::Status CheckMayBlock(const MethodInfo& method) {
  if (const EventLoop* const loop = EventLoop::Current(); loop != nullptr && loop->stepped()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "call ", std::string(method.full_name),
        ": a blocking call inside a simulation would wait for ever, for nothing else runs on its "
        "one thread meanwhile; use the callback or coroutine style"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("call ", std::string(method.full_name),
                   ": a blocking call on an I/O thread would wait for itself; use the callback or "
                   "coroutine style, or a "
                   "handler that is not inline"));
}

void WaitForReply(Parker& parker) {
  // Learns for each thread how long its replies took lately, and with that whether polling pays.
  thread_local SpinPolicy spin(kCallerSpin);
  parker.ParkSpinning(spin);
}

}  // namespace weft::internal
