#include "weft/rpc/call/client_stream_call.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "weft/core/callback_queue.h"
#include "weft/core/event_loop.h"
#include "weft/core/parker.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/context_writer.h"
#include "weft/rpc/call/unary_call.h"

namespace weft::internal {
namespace {

constexpr char kWhat[] = "the callback of a stream's end";

}  // namespace

ClientStreamCall::ClientStreamCall(const MethodInfo& called,
                                   const google::protobuf::MessageLite& message,
                                   std::unique_ptr<google::protobuf::MessageLite> reply,
                                   const CallOptions& wishes)
    : OutboundCall(called, message, wishes), StreamPort(wishes.executor), reply_(std::move(reply)) {
  // A client that streams has an empty request, which is the type's default instance.
  if (called.kind != MethodKind::kServerStreaming) request.SetStays();
}

std::shared_ptr<ClientStreamCall> ClientStreamCall::Launch(
    CallTarget& target, const MethodInfo& method, const google::protobuf::MessageLite& request,
    std::unique_ptr<google::protobuf::MessageLite> reply, const CallOptions& options,
    const std::shared_ptr<const SerializedRequest>& shared) {
  auto call = std::make_shared<ClientStreamCall>(method, request, std::move(reply), options);
  call->self_ = call;
  call->stream = std::shared_ptr<StreamPort>(call, call.get());
  if (shared != nullptr) {
    call->request.ShareWith(shared);
  } else if (method.kind == MethodKind::kServerStreaming) {  // so that it can be sent again
    // Without memory for the copy the call is sent only once.
    if (call->request.Size() <= kMaxKept) (void)call->request.Share();
  }
  target.Start(*call);
  return call;
}

void ClientStreamCall::Started(CallHandle handle) {
  {
    MutexLock lock(end_mu_);
    if (!abandoned_) OutboundCall::Started(handle);
    handle_ = handle;
    if (!cancelled_) return;
  }
  handle.Cancel();  // it was cancelled while no carrier had it
}

// Under end_mu_, so that the holder cannot drop the call, and with it the ClientContext, meanwhile.
// A stream of which a server has said something stays with that server, and Unbind says false.
bool ClientStreamCall::PrepareAgain() {
  MutexLock lock(end_mu_);
  return !abandoned_ && Unbind() && OutboundCall::PrepareAgain();
}

void ClientStreamCall::OnInitialMetadata(std::string_view raw) {
  OutboundCall::OnInitialMetadata(raw);
  {
    MutexLock lock(end_mu_);
    // The ClientContext may have gone with the holder.
    if (!abandoned_ && options.context != nullptr)
      ContextWriter(*options.context).SetInitialMetadata(raw);
  }
  StreamPort::OnInitialMetadata();
}

absl::Status ClientStreamCall::OnStreamMessage(bool outgoing, size_t bytes) {
  return OnMessage(outgoing ? MessageDirection::kSent : MessageDirection::kReceived, bytes);
}

absl::Status ClientStreamCall::TakeReply(const CallEnd& end) {
  if (reply_ == nullptr) {
    // The content does not matter: with any message the server has said something else than that
    // the stream is over.
    if (end.whole_reply == nullptr && end.reply_size == 0) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(
        "call ", std::string(method.full_name),
        ": the answer that ends its stream has a message, which only the stream may have"));
  }
  if (end.whole_reply != nullptr) return ParseWhole(*this, end, reply_.get());
  return ParsePlain(*this, end, reply_.get());
}

void ClientStreamCall::Complete(const CallEnd& end) {
  const std::shared_ptr<ClientStreamCall> self = std::move(self_);
  absl::Status status = end.status;
  if (absl::Status own = error(); !own.ok()) {
    status = absl::Status(
        own.code(), absl::StrCat("call ", std::string(method.full_name), ": ", own.message()));
  } else if (status.ok()) {
    status = TakeReply(end);
  }
  EndCallback told;
  {
    MutexLock lock(end_mu_);
    done_ = true;
    handle_ = CallHandle();
    status_ = status;
    // Its ClientContext may have gone with its holder.
    if (!abandoned_ && options.context != nullptr) TellContext(*this, end);
    told = std::exchange(told_, nullptr);
  }
  // The status stands before the stream ends: a reader that wakes by EndStream may ask for it at
  // once.
  OnTaken();
  EndStream(/*drop=*/false);
  stream.reset();
  if (told) std::move(told)(std::move(status));
}

void ClientStreamCall::OnFailed(const absl::Status&) { CancelFromHere(); }

void ClientStreamCall::CancelFromHere() {
  if (home_.InForkedChild()) return;
  CallHandle handle;
  {
    MutexLock lock(end_mu_);
    cancelled_ = true;
    handle = handle_;
  }
  handle.Cancel();
}

void ClientStreamCall::Abandon() {
  if (home_.InForkedChild()) return;
  CallHandle handle;
  EndCallback told;
  {
    MutexLock lock(end_mu_);
    abandoned_ = true;
    cancelled_ = true;
    told = std::exchange(told_, nullptr);
    handle = std::move(handle_);
  }
  // First the stream, so that readers and writers wake at once. The call itself ends later, on its
  // loop, and then leaves the ClientContext alone.
  EndStream(/*drop=*/true);
  handle.Cancel();
  if (told) {
    std::move(told)(absl::CancelledError(
        absl::StrCat("call ", std::string(method.full_name), ": its holder was destroyed")));
  }
}

absl::Status ClientStreamCall::WaitForEnd() {
  if (home_.InForkedChild()) return ForkGuard::Refused(std::string(method.full_name));
  if (EventLoop::Current() != nullptr) {
    {
      MutexLock lock(end_mu_);
      if (done_) return status_;
    }
    CancelFromHere();
    return CheckMayBlock(method);
  }
  Parker parker;
  absl::Status result;
  const auto wake = [&](absl::Status s) {
    result = std::move(s);
    parker.Unpark();
  };
  if (WatchEnd(wake, &result)) parker.Park();
  return result;
}

void ClientStreamCall::TellEnd(EndCallback done) {
  auto tell = [self = std::static_pointer_cast<ClientStreamCall>(shared_from_this()),
               done = std::move(done)](absl::Status s) mutable {
    if (Executor* const executor = self->executor()) {
      CallbackQueue::Execute(
          *executor, kWhat,
          [done = std::move(done), s = std::move(s)]() mutable { std::move(done)(std::move(s)); });
    } else {
      CallbackQueue::Call(
          self->loop(), kWhat,
          [done = std::move(done), s = std::move(s)]() mutable { std::move(done)(std::move(s)); });
    }
  };
  // Shared, because WatchEnd moves its argument also when it says false, and `tell` is needed then.
  auto shared = std::make_shared<EndCallback>(std::move(tell));
  absl::Status ended;
  if (!WatchEnd([shared](absl::Status s) { std::move (*shared)(std::move(s)); }, &ended)) {
    std::move (*shared)(std::move(ended));
  }
}

bool ClientStreamCall::WatchEnd(EndCallback told, absl::Status* status) {
  if (home_.InForkedChild()) {
    *status = ForkGuard::Refused(std::string(method.full_name));
    return false;
  }
  StopReading();  // a waiter for the end reads no more
  MutexLock lock(end_mu_);
  if (!done_) {
    told_ = std::move(told);
    return true;
  }
  *status = status_;
  return false;
}

void ClientStreamCall::StopTelling() {
  EndCallback told;  // goes without the lock
  MutexLock lock(end_mu_);
  told = std::exchange(told_, nullptr);
}

}  // namespace weft::internal
