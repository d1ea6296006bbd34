// The messages of streams on a native session, in both directions, and their credit.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/inbound_stream.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {

void NativeSession::OpenStream(InboundCall& call) {
  const MethodKind kind = call.bound->method->info->kind;
  auto port = std::make_shared<InboundStream>(call);
  link_->streams().OpenInbound(call, *port, kind,
                               std::shared_ptr<StreamTransport>(link_, &link_->streams()));
  port->codec().store(call.reply_codec, std::memory_order_relaxed);
  call.stream = std::move(port);
  // A handler that waits for messages is told.
  if (call.deadline != kNever) wheel_.Insert(&call, call.deadline);
}

// The stream that a frame belongs to; null: its call has ended. `*wrong`: there never was one. The
// session may have ended when it returns.
std::shared_ptr<StreamPort> NativeSession::FindStream(const FrameHeader& header, bool* wrong) {
  bool live = false;
  std::shared_ptr<StreamPort> port;
  bool known;
  if (header.has(kReply)) {
    CompleteReplies();  // one of them may end the call
    port = link_->StreamOf(header.id, &live, &known);
    if (port != nullptr) port->OnTaken();
  } else {
    const InboundCall* const call = inbound_.Find(header.id);
    live = call != nullptr && !call->has_answer();
    if (live) port = call->stream;
    known = header.id > 0 && header.id <= last_inbound_;
  }
  *wrong = !known || (live && port == nullptr);
  return port;
}

void NativeSession::TakeStreamMessage(const BlockRef& block, const FrameHeader& header,
                                      std::string_view body) {
  Payload payload;
  if (const FrameError error = FrameReader::ReadStreamMessage(header, body, &payload);
      error != FrameError::kNone) {
    FailFrame(error, header);
    return;
  }
  bool wrong;
  const std::shared_ptr<StreamPort> port = FindStream(header, &wrong);
  if (phase_ >= Phase::kEnding) return;
  if (wrong) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("a stream message of call ", header.id, ", which has no stream"));
    return;
  }
  if (port != nullptr && NativeStream::Of(*port).receive_ended) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("a stream message of call ", header.id, " after the end of its stream"));
    return;
  }
  if (!assembly_.empty() && assembly_.Contains(header.id, header.has(kReply))) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("a stream message of call ", header.id, " inside another one"));
    return;
  }
  if (port != nullptr) NativeStream::Of(*port).receive_begun = true;
  if (header.has(kNoMessage)) {
    if (port == nullptr) return;
    NativeStream::Of(*port).receive_ended = true;
    port->OnHalfClose();
    return;
  }
  const size_t cost = payload.whole_size + kMessageCost;
  if (!link_->streams().Charge(cost)) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("stream messages beyond the credit of the connection (",
                      Handshake::ConnectionWindow(limits()), " bytes, connection_window_bytes)"));
    return;
  }
  if (port == nullptr) {
    link_->streams().ReturnConnectionCredit(cost);
    return;
  }
  const size_t size = std::max(payload.whole_size, payload.inflated_size);
  absl::Status refused;
  if (!NativeStream::Of(*port).Charge(cost)) {
    refused = absl::InternalError(
        absl::StrCat("flow-control violation: stream messages beyond the credit of the call (",
                     Handshake::StreamWindow(limits()), " bytes, stream_window_bytes)"));
  } else if (size > limits().max_message_bytes) {
    refused = absl::ResourceExhaustedError(
        absl::StrCat("a stream message of ", size, " bytes is over the limit of ",
                     limits().max_message_bytes, " (max_message_bytes)"));
  } else {
    refused = CheckCompressed(payload);
  }
  const bool last = header.has(kEnd);
  if (refused.ok() && !header.has(kMore)) refused = link_->frames().input().TryAdd(cost);
  if (refused.ok() && !header.has(kMore)) {
    DeliverToStream(
        *port,
        {block, payload.bytes.data(), payload.message_size(),
         static_cast<Compression>(payload.codec), payload.inflated_size, payload.attachment_size},
        last);
    return;
  }
  if (refused.ok()) {
    const absl::StatusOr<Assembly*> assembly =
        assembly_.Begin(header.id, header.has(kReply), payload, loop_.now());
    if (assembly.ok()) {
      (*assembly)->stream = port;
      (*assembly)->last = last;
      WatchForLate(kNever);
      return;
    }
    refused = assembly.status();
  }
  link_->streams().ReturnConnectionCredit(cost);
  EndStreamCall(header, refused);
}

// A message that is counted in the account, until its credit is returned.
void NativeSession::DeliverToStream(StreamPort& port, ReceivedMessage message, bool last) {
  const size_t cost = message.size + message.attachment_size + kMessageCost;
  port.Deliver(std::move(message), cost);
  if (!last) return;
  NativeStream::Of(port).receive_ended = true;
  port.OnHalfClose();
}

// What came on its stream cannot be taken: the call ends, on both sides.
void NativeSession::EndStreamCall(const FrameHeader& header, const absl::Status& why) {
  if (header.has(kReply)) {
    GiveUp(header.id, why);
    return;
  }
  InboundCall* const call = inbound_.Find(header.id);
  if (call != nullptr && link_->answers().Abort(*call, why)) call->MarkCancelled();
}

// A call of ours whose server sends what cannot be taken.
void NativeSession::GiveUp(uint64_t id, const absl::Status& why) {
  OutboundCall* const call = link_->Take(id);
  if (call == nullptr) return;
  link_->frames().SendFrame({0, FrameType::kCancel, 0, ToWireCode(why.code()), id}, "");
  DropAssembly(id, /*reply=*/true);
  EndCall(*call, why.code(), std::string(why.message()), true);
}

void NativeSession::TakeWindow(const FrameHeader& header, std::string_view body) {
  uint32_t bytes;
  if (const FrameError error = FrameReader::ReadWindow(body, &bytes); error != FrameError::kNone) {
    FailFrame(error, header);
    return;
  }
  bool possible = true;
  if (header.id == 0) {
    possible = link_->streams().AddConnectionCredit(bytes);
  } else {
    bool wrong;
    const std::shared_ptr<StreamPort> port = FindStream(header, &wrong);
    if (phase_ >= Phase::kEnding) return;
    if (wrong) {
      Fail(CloseReason::kBadFrame,
           absl::StrCat("credit for call ", header.id, ", which has no stream"));
      return;
    }
    if (port != nullptr) possible = link_->streams().AddCredit(*port, bytes);
  }
  if (!possible) Fail(CloseReason::kBadFrame, "more credit than there can be (2 GiB)");
}

// The caller has given up: what is left of its messages will not come.
void NativeSession::TakeCancel(uint64_t id) {
  InboundCall* const call = inbound_.Find(id);
  if (call == nullptr) return;
  link_->answers().Drop(id);
  Assembly* const assembly = assembly_.Find(id, false);
  const bool unfinished = assembly != nullptr && assembly->call == call;
  DropAssembly(id, /*reply=*/false);
  // Whoever is told may answer, and end the session. A request that never became whole has nobody
  // to be told, nor to answer it.
  if (unfinished) {
    call->Refuse(absl::CancelledError("cancelled before its request had come"));
  } else {
    call->MarkCancelled();
    if (sink_ != nullptr) sink_->OnCancelled(*call);
  }
}

}  // namespace weft::native
