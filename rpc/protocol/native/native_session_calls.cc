// The calls of a native session: the peer's requests, and the replies to ours.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/printable.h"
#include "weft/core/try_allocate.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

constexpr size_t kReplyBatch = 64;

// Whether any byte of its request may have left this process.
bool Written(NativeLink& link, const OutboundCall& call) {
  MutexLock lock(link.frames().output().mutex());
  return call.wire().position < link.frames().output().offered();
}

// What a request holds beside its call: small bytes are copied into that. Those of a message that
// goes on are counted with it.
size_t InputOf(const FrameHeader& header, const RequestFrame& frame) {
  const size_t bytes = header.has(kMore) ? 0 : frame.payload.bytes.size();
  return frame.metadata.size() + (bytes > InboundCall::kSmall ? bytes : 0);
}

std::string ReplyOverLimit(size_t size, size_t limit) {
  return absl::StrCat("the reply of ", size, " bytes is over the limit of ", limit,
                      " (max_message_bytes of the channel)");
}

absl::Status NoRoomForCalls(size_t calls) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for a call more beside the ", calls, " of this connection"));
}

}  // namespace

// ---- the peer's calls

void NativeSession::TakeRequest(const BlockRef& block, const FrameHeader& header,
                                std::string_view body) {
  RequestFrame frame;
  if (const FrameError error = FrameReader::ReadRequest(header, body, &frame);
      error != FrameError::kNone) {
    FailFrame(error, header);
    return;
  }
  if (header.id <= last_inbound_) {
    Fail(CloseReason::kBadFrame, absl::StrCat("call number ", header.id, " after ", last_inbound_));
    return;
  }
  if (!header.has(kEnd) && (frame.payload.whole_size > 0 || frame.payload.codec != 0)) {
    Fail(CloseReason::kBadFrame, "a request that opens a stream and has a message");
    return;
  }
  last_inbound_ = header.id;
  const BoundMethod* bound = BoundAlready(header, frame);
  if (bound == nullptr && (bound = Admit(header, frame)) == nullptr) return;
  const size_t held = InputOf(header, frame);
  if (held > 0) {
    if (const absl::Status s = link_->frames().input().TryAdd(held); !s.ok()) {
      link_->frames().SendError(header.id, s, /*not_executed=*/true);
      return;
    }
  }
  InboundCall& call = pool_->Take();
  if (!inbound_.Insert(header.id, &call)) {
    pool_->PutBack(call);
    if (held > 0) link_->frames().input().Remove(held);
    link_->frames().SendError(header.id, NoRoomForCalls(inbound_.size()), /*not_executed=*/true);
    return;
  }
  call.input_held = held;
  call.id.store(header.id, std::memory_order_relaxed);
  call.origin = std::shared_ptr<CallOrigin>(link_, &link_->answers());
  call.bound = bound;
  call.clock = &loop_.clock();
  call.received = loop_.now() - held_for_;
  if (frame.timeout_us > 0) {
    const auto timeout = std::min<uint64_t>(frame.timeout_us, uint64_t{1} << 50);  // 35 years
    call.deadline = SaturatingAdd(call.received, std::chrono::microseconds(timeout));
  }
  if (!frame.metadata.empty()) call.SetMetadata(frame.metadata);
  ++taken_;
  call.reply_codec = compression_;
  if (bound->method->info->kind != MethodKind::kUnary) OpenStream(call);
  const Payload& payload = frame.payload;
  if (!header.has(kMore)) {
    call.SetRequest(block, payload.bytes.data(), payload.bytes.size());
    if (payload.codec != 0 || payload.attachment_size > 0) {
      call.SetPayload(static_cast<Compression>(payload.codec), payload.inflated_size,
                      payload.attachment_size, limits().max_message_bytes,
                      &link_->streams().gate());
    }
    sink_->OnCall(call);
    return;
  }
  const absl::StatusOr<Assembly*> assembly =
      assembly_.Begin(header.id, false, payload, loop_.now());
  if (!assembly.ok()) {
    call.Refuse(assembly.status());
    return;
  }
  (*assembly)->call = &call;
  WatchForLate(call.deadline);
  sink_->OnCallBegins(call);
}

// The method of a request that there is nothing to be said against, as of nearly all; null: ask
// Admit.
const BoundMethod* NativeSession::BoundAlready(const FrameHeader& header,
                                               const RequestFrame& frame) const {
  const SessionLimits& limits = link_->frames().limits();
  const bool plain = frame.method_name.empty() && header.aux < methods_.size() &&
                     frame.metadata.empty() && frame.payload.codec == 0 &&
                     frame.payload.whole_size <= limits.max_message_bytes &&
                     header.id <= go_away_.last_taken() && inbound_.size() < limits.max_calls;
  if (!plain) return nullptr;
  const BoundMethod* const bound = methods_[header.aux];
  return bound != nullptr && header.has(kEnd) != ClientStreams(bound->method->info->kind) ? bound
                                                                                          : nullptr;
}

// The method of a request that may be served; null: it was answered, or the connection failed.
const BoundMethod* NativeSession::Admit(const FrameHeader& header, const RequestFrame& frame) {
  const BoundMethod* bound = nullptr;
  std::string unknown;
  if (!BindName(header.aux, frame.method_name, &bound, &unknown)) return nullptr;
  absl::Status refused = AdmitRequest(frame, header.id);
  if (refused.ok() && bound == nullptr) {
    refused = sink_ != nullptr
                  ? sink_->Unknown(unknown)
                  : absl::UnimplementedError(absl::StrCat(
                        "this side offers no services; asked for ", Printable::Text(unknown)));
  }
  if (refused.ok() && header.has(kEnd) == ClientStreams(bound->method->info->kind)) {
    refused = absl::UnimplementedError(
        absl::StrCat(std::string(bound->method->info->full_name),
                     header.has(kEnd) ? ": the method takes a stream, not one request"
                                      : ": the method takes one request, not a stream"));
  }
  if (!refused.ok()) {
    link_->frames().SendError(header.id, refused, /*not_executed=*/true);
    return nullptr;
  }
  return bound;
}

// Whether this request may be served at all; what it is refused with otherwise.
absl::Status NativeSession::AdmitRequest(const RequestFrame& frame, uint64_t id) {
  const SessionLimits& limits = link_->frames().limits();
  if (id > go_away_.last_taken()) return absl::UnavailableError("the server is going away");
  const size_t size = std::max(frame.payload.whole_size, frame.payload.inflated_size);
  if (size > limits.max_message_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the request of ", size, " bytes is over the limit of ",
                     limits.max_message_bytes, " (max_message_bytes of the server)"));
  }
  if (absl::Status s = CheckCompressed(frame.payload); !s.ok()) return Annotate(s, "the request");
  if (frame.metadata.size() > limits.max_metadata_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the request's metadata of ", frame.metadata.size(), " bytes is over the limit of ",
        limits.max_metadata_bytes, " (max_metadata_bytes of the server)"));
  }
  // The table also holds calls whose answer has left and that are on their way back to the pool:
  // those don't count.
  if (inbound_.size() >= limits.max_calls && taken_ - link_->answered() >= limits.max_calls) {
    return absl::ResourceExhaustedError(absl::StrCat(
        taken_ - link_->answered(), " calls are under way on this connection, the limit is ",
        limits.max_calls, " (max_calls of the server)"));
  }
  return absl::OkStatus();
}

absl::Status NativeSession::CheckInflating(const Payload& payload) const {
  return link_->streams().gate().Check(static_cast<Compression>(payload.codec),
                                       payload.message_size(), payload.inflated_size);
}

// The method that `number` or `name` stands for. False: the connection was failed.
bool NativeSession::BindName(uint16_t number, std::string_view name, const BoundMethod** bound,
                             std::string* unknown) {
  if (!name.empty()) {
    *bound = sink_ != nullptr ? sink_->Find(name) : nullptr;
    if (*bound == nullptr) *unknown = std::string(name);
    if (number == 0) return true;
    if (number > std::min<size_t>(limits().max_methods, 65535)) {
      Fail(CloseReason::kBadFrame, absl::StrCat("method number ", number, " is over the limit of ",
                                                limits().max_methods, " (max_methods)"));
      return false;
    }
    const absl::Status s = SetMethod(number, *bound, *unknown);
    if (!s.ok()) Fail(CloseReason::kInputFull, std::string(s.message()));
    return s.ok();
  }
  if (number < methods_.size() && methods_[number] != nullptr) {
    *bound = methods_[number];
    return true;
  }
  if (unknown_methods_ != nullptr && unknown_methods_->Contains(number)) {
    *unknown = unknown_methods_->Name(number);
    return true;
  }
  Fail(CloseReason::kBadFrame, absl::StrCat("method number ", number, " was never bound"));
  return false;
}

// Its number stands for `bound` from now on, or, where that is null, for a name that is unknown.
absl::Status NativeSession::SetMethod(uint16_t number, const BoundMethod* bound,
                                      std::string_view name) {
  if (methods_.size() <= number && !TryAllocate([&] {
        loop_.AssertInLoop();
        methods_.resize(number + size_t{1}, nullptr);
      })) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a table of ", number, " methods"));
  }
  methods_[number] = bound;
  if (bound != nullptr) {
    if (unknown_methods_ != nullptr) unknown_methods_->Erase(number);
    return absl::OkStatus();
  }
  if (unknown_methods_ == nullptr) unknown_methods_ = std::make_unique<UnknownMethods>();
  if (unknown_methods_->KeepsMore(number)) {
    if (absl::Status s = link_->frames().input().TryAdd(UnknownMethods::kMaxNameBytes); !s.ok())
      return s;
  }
  unknown_methods_->Add(number, name);
  return absl::OkStatus();
}

void NativeSession::OnCallReturned(InboundCall& call) {
  wheel_.Remove(&call);
  const uint64_t id = call.id.load(std::memory_order_relaxed);
  inbound_.Take(id);
  if (call.stream != nullptr) DropAssembly(id, /*reply=*/false);
  if (go_away_.state() != GoAwaySteps::State::kTaking || peer_leaves_ == PeerLeaves::kNamed)
    TellIfIdle();
}

void NativeSession::WatchInboundDeadline(uint64_t id) {
  InboundCall* call = inbound_.Find(id);
  if (call != nullptr && !call->in_wheel()) wheel_.Insert(call, call->deadline);
}

// ---- replies to our calls

void NativeSession::TakeResponse(const FrameHeader& header, std::string_view body) {
  // Read where it waits for the others of this turn.
  ReadyReply& read = replies_.emplace_back(header);
  const FrameError error = FrameReader::ReadResponse(header, body, &read.frame);
  if (error == FrameError::kNone && (header.flags & (kEnd | kMore)) == kEnd && assembly_.empty()) {
    if (replies_.size() >= kReplyBatch) CompleteReplies();
    return;
  }
  const ReadyReply reply = read;
  replies_.pop_back();
  if (error != FrameError::kNone) {
    FailFrame(error, header);
    return;
  }
  if (!header.has(kEnd)) {
    Fail(CloseReason::kBadFrame, "a reply that does not end its call");
    return;
  }
  if (!assembly_.empty() && !MayEndNow(header)) return;
  if (!header.has(kMore)) {
    replies_.push_back(reply);
    if (replies_.size() >= kReplyBatch) CompleteReplies();
    return;
  }
  CompleteReplies();  // it may be a second one
  if (phase_ >= Phase::kEnding) return;
  if (link_->Find(header.id) == nullptr) {
    host_.CountLateReply();  // and its pieces are dropped
    return;
  }
  const size_t size = std::max(reply.frame.payload.whole_size, reply.frame.payload.inflated_size);
  const absl::Status compressed = CheckCompressed(reply.frame.payload);
  absl::StatusOr<Assembly*> assembly =
      absl::ResourceExhaustedError(ReplyOverLimit(size, limits().max_message_bytes));
  if (size <= limits().max_message_bytes && !compressed.ok()) {
    assembly = absl::Status(compressed.code(), absl::StrCat("the reply: ", compressed.message()));
  } else if (size <= limits().max_message_bytes) {
    assembly = assembly_.Begin(header.id, true, reply.frame.payload, loop_.now());
  }
  if (!assembly.ok()) {
    if (OutboundCall* call = link_->Take(header.id)) {
      const absl::Status& why = assembly.status();
      EndCall(*call, why.code(), std::string(why.message()), true);
    }
    return;
  }
  (*assembly)->handler_us = reply.frame.handler_us;
  (*assembly)->trailers = std::string(reply.frame.metadata);
  WatchForLate(kNever);
}

// Initial metadata of a call of ours: before everything else that its server says of it.
void NativeSession::TakeHeaders(const FrameHeader& header, std::string_view body) {
  CompleteReplies();  // one of them may end the call, or the session
  if (phase_ >= Phase::kEnding) return;
  OutboundCall* const call = link_->Find(header.id);
  if (call == nullptr) {
    if (!link_->EverStarted(header.id)) {
      Fail(CloseReason::kBadFrame,
           absl::StrCat("initial metadata of call ", header.id, ", which was never begun"));
    }
    return;
  }
  const std::shared_ptr<StreamPort> port = call->stream;  // whoever is told may end it
  if (call->wire().initial_metadata != nullptr ||
      (port != nullptr && NativeStream::Of(*port).receive_begun) ||
      (!assembly_.empty() && assembly_.Contains(header.id, true))) {
    Fail(CloseReason::kBadFrame, absl::StrCat("initial metadata of call ", header.id,
                                              " that is not the first of its reply"));
    return;
  }
  if (body.size() > limits().max_metadata_bytes) {
    GiveUp(header.id,
           absl::ResourceExhaustedError(absl::StrCat(
               "the reply's initial metadata of ", body.size(), " bytes is over the limit of ",
               limits().max_metadata_bytes, " (max_metadata_bytes of the channel)")));
    return;
  }
  if (port != nullptr) port->OnTaken();
  call->OnInitialMetadata(body);
}

// Whether a reply may come before the last piece of what its call receives. False: the connection
// was failed.
bool NativeSession::MayEndNow(const FrameHeader& header) {
  const Assembly* const unfinished = assembly_.Find(header.id, true);
  if (unfinished == nullptr) return true;
  if (unfinished->stream == nullptr) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("a second reply to call ", header.id, " inside the first"));
    return false;
  }
  if (header.aux == 0) {
    Fail(CloseReason::kBadFrame,
         absl::StrCat("a reply that is OK to call ", header.id, " inside a message of its stream"));
    return false;
  }
  DropAssembly(header.id, /*reply=*/true);  // an error comes when it comes
  return true;
}

// A completion may start calls, or close this session and so come here again: by then replies_ is
// empty.
void NativeSession::CompleteReplies() {
  if (replies_.empty()) return;
  uint64_t ids[kReplyBatch];
  OutboundCall* calls[kReplyBatch];
  std::vector<ReadyReply> ready = std::move(spare_replies_);
  ready.swap(replies_);
  for (size_t i = 0; i < ready.size(); ++i) ids[i] = ready[i].header.id;
  link_->TakeMany(ids, calls, ready.size());
  for (size_t i = 0; i < ready.size(); ++i)
    CompleteReply(calls[i], ready[i].header, ready[i].frame);
  ready.clear();
  spare_replies_ = std::move(ready);
}

void NativeSession::CompleteReply(OutboundCall* call, const FrameHeader& header,
                                  const ResponseFrame& frame) {
  if (call == nullptr) {
    host_.CountLateReply();
    return;
  }
  const Payload& payload = frame.payload;
  const bool plain = header.aux == 0 && (payload.codec | payload.attachment_size) == 0 &&
                     payload.whole_size <= limits().max_message_bytes;
  if (!plain) {
    CompleteSlowReply(*call, header, frame);
    return;
  }
  CallEnd end;
  end.handler_time = std::chrono::microseconds(frame.handler_us);
  end.trailers = frame.metadata;
  end.reply = payload.bytes.data();
  end.reply_size = payload.bytes.size();
  call->End(end);
}

// One that is an error, or too large, or not just a message.
void NativeSession::CompleteSlowReply(OutboundCall& call, const FrameHeader& header,
                                      const ResponseFrame& frame) {
  CallEnd end;
  end.handler_time = std::chrono::microseconds(frame.handler_us);
  end.trailers = frame.metadata;
  if (header.aux == 0) {
    const Payload& payload = frame.payload;
    const size_t size = std::max(payload.whole_size, payload.inflated_size);
    if (size > limits().max_message_bytes) {
      EndCall(call, absl::StatusCode::kResourceExhausted,
              ReplyOverLimit(size, limits().max_message_bytes), true);
      return;
    }
    const ReceivedMessage whole{*input_,
                                payload.bytes.data(),
                                payload.message_size(),
                                static_cast<Compression>(payload.codec),
                                payload.inflated_size,
                                payload.attachment_size};
    end.whole_reply = &whole;
    end.max_message = limits().max_message_bytes;
    end.gate = &link_->streams().gate();
    call.End(end);
    return;
  }
  if (header.aux == ToWireCode(absl::StatusCode::kCancelled) &&
      loop_.clock().Now() >= call.plan().deadline) {
    EndExpired(call);  // the server was the first to see it
    return;
  }
  end.may_have_been_executed = !header.has(kNotExecuted);
  end.status =
      absl::Status(FromWireCode(header.aux),
                   absl::string_view(frame.error_message.data(), frame.error_message.size()));
  if (!frame.error_details.empty()) SetStatusDetails(frame.error_details, &end.status);
  call.End(end);
}

// Ends a call that is out of the table with an error of this side's making.
void NativeSession::EndCall(OutboundCall& call, absl::StatusCode code, std::string_view why,
                            bool may_have_been_executed) {
  CallEnd end;
  end.may_have_been_executed = may_have_been_executed;
  end.status =
      absl::Status(code, absl::StrCat("call ", std::string(call.method.full_name), " to ", peer(),
                                      ": ", absl::string_view(why.data(), why.size()), " (after ",
                                      InMs(loop_.clock().Now() - call.plan().started), ")"));
  call.End(end);
}

void NativeSession::CancelOutbound(uint64_t id) {
  OutboundCall* call = link_->Take(id);
  if (call == nullptr) return;
  link_->frames().SendFrame(
      {0, FrameType::kCancel, 0, ToWireCode(absl::StatusCode::kCancelled), id}, "");
  DropAssembly(id, /*reply=*/true);
  // Even a request that is still queued goes out, with its cancelling behind it.
  EndCall(*call, absl::StatusCode::kCancelled, "cancelled by the caller", true);
  if (peer_leaves_ == PeerLeaves::kNamed) TellIfIdle();
}

void NativeSession::OnCallDeadline(OutboundCall& expired) {
  loop_.AssertInLoop();
  OutboundCall* call = link_->Take(expired.wire().id);
  if (call == nullptr) return;
  link_->frames().SendFrame(
      {0, FrameType::kCancel, 0, ToWireCode(absl::StatusCode::kDeadlineExceeded), call->wire().id},
      "");
  DropAssembly(call->wire().id, /*reply=*/true);
  EndExpired(*call);
  if (peer_leaves_ == PeerLeaves::kNamed) TellIfIdle();
}

void NativeSession::EndExpired(OutboundCall& call) {
  const bool written = Written(*link_, call);
  EndCall(call, absl::StatusCode::kDeadlineExceeded,
          absl::StrCat("no reply within ", InMs(call.plan().deadline - call.plan().started),
                       written ? "; the request was sent"
                               : "; the request still waited to be sent: the peer does not read",
                       call.WhereTimeWent(loop_.clock().Now(), written)),
          true);
}

void NativeSession::LookForDeadlines() {
  if (phase_ >= Phase::kEnded) return;
  look_timer_.StartAt(link_->ArmDeadlines(this));
}

void NativeSession::EndAllCalls(const absl::Status& reason) {
  CompleteReplies();
  uint64_t written = 0;
  for (OutboundCall* call = link_->Close(&written); call != nullptr;) {
    OutboundCall* next = call->wire().next;
    wheel_.Remove(call);
    const bool sent = call->wire().position < written;
    EndCall(*call, absl::StatusCode::kUnavailable,
            absl::StrCat(std::string(reason.message()),
                         sent ? "; the request was sent and may have been executed"
                              : "; the request was not sent"),
            sent);
    call = next;
  }
}

}  // namespace weft::native
