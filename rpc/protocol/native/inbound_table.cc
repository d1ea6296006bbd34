#include "weft/rpc/protocol/native/inbound_table.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/call/inbound_stream.h"
#include "weft/rpc/call/service.h"
#include "weft/rpc/protocol/native/leaving.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"

namespace weft::internal::native {
namespace {

// Input bytes that a request holds besides its call: small payloads are copied into the call, and a
// payload that goes on in DATA frames is counted with its message.
size_t InputOf(const FrameHeader& header, const RequestFrame& frame) {
  const size_t bytes = header.has(kMore) ? 0 : frame.payload.bytes.size();
  return frame.metadata.size() + (bytes > InboundRequest::kSmall ? bytes : 0);
}

absl::Status NoRoomForCalls(size_t calls) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for a call more beside the ", calls, " of this connection"));
}

}  // namespace

void InboundTable::TakeRequest(const BlockRef& block, const FrameHeader& header,
                               std::string_view body) {
  RequestFrame frame;
  if (const FrameError error = FrameReader::ReadRequest(header, body, &frame);
      error != FrameError::kNone) {
    shared_.faults.FailFrame(error, header);
    return;
  }
  // Numbers must rise, also over refused calls: GOAWAY names the last one, and both sides must
  // agree which calls it covers.
  if (header.id <= last_id_) {
    shared_.faults.Fail(CloseReason::kBadFrame,
                        absl::StrCat("call number ", header.id, " after ", last_id_));
    return;
  }
  if (!header.has(kEnd) && (frame.payload.whole_size > 0 || frame.payload.codec != 0)) {
    shared_.faults.Fail(CloseReason::kBadFrame, "a request that opens a stream and has a message");
    return;
  }
  last_id_ = header.id;
  const BoundMethod* bound = BoundAlready(header, frame);
  if (bound == nullptr && (bound = Admit(header, frame)) == nullptr) return;
  NativeLink& link = *shared_.link;
  const size_t held = InputOf(header, frame);
  // Counted before the call exists, so that a refusal has nothing to undo.
  if (held > 0) {
    if (const absl::Status s = link.frames().input().TryAdd(held); !s.ok()) {
      link.frames().SendError(header.id, s, /*not_executed=*/true);
      return;
    }
  }
  InboundCall& call = shared_.pool->Take();
  if (!calls_.Insert(header.id, &call)) {
    shared_.pool->PutBack(call);
    if (held > 0) link.frames().input().Remove(held);
    link.frames().SendError(header.id, NoRoomForCalls(calls_.size()), /*not_executed=*/true);
    return;
  }
  call.input_held = held;
  call.id.store(header.id, std::memory_order_relaxed);
  call.origin = std::shared_ptr<CallOrigin>(shared_.link, &link.answers());
  call.bound = bound;
  call.clock = &shared_.loop.clock();
  // The time of a held request began when it came, not now.
  call.received = shared_.loop.now() - held_for_;
  if (frame.timeout_us > 0) {
    // At most 35 years, so that adding it to the clock cannot overflow.
    const auto timeout = std::min<uint64_t>(frame.timeout_us, uint64_t{1} << 50);
    call.deadline = SaturatingAdd(call.received, std::chrono::microseconds(timeout));
  }
  if (!frame.metadata.empty()) call.SetMetadata(frame.metadata);
  ++taken_;
  call.reply_codec = reply_codec_;
  // Before the sink hears of the call: its handler may send at once.
  if (bound->method->info->kind != MethodKind::kUnary) OpenStream(call);
  const Payload& payload = frame.payload;
  if (header.has(kMore)) {
    BeginMessage(call, header, payload);
    return;
  }
  call.SetRequest(block, payload.bytes.data(), payload.bytes.size());
  if (payload.codec != 0 || payload.attachment_size > 0) {
    call.SetPayload(static_cast<Compression>(payload.codec), payload.inflated_size,
                    payload.attachment_size,
                    Errors::MaxMessage(shared_.limits(), shared_.frames().end, Side::kServer),
                    &link.streams().gate());
  }
  shared_.sink->OnCall(call);
}

// Begins a request that goes on in DATA frames.
void InboundTable::BeginMessage(InboundCall& call, const FrameHeader& header,
                                const Payload& payload) {
  const absl::StatusOr<Assembly*> assembly =
      shared_.parts.unfinished.Begin(header.id, false, payload);
  if (!assembly.ok()) {
    call.Refuse(assembly.status());
    return;
  }
  (*assembly)->call = &call;
  shared_.parts.unfinished.WatchForLate(call.deadline);
  shared_.sink->OnCallBegins(call);
}

// Fast path: the bound method if no limit or option needs checking. Null: call Admit().
const BoundMethod* InboundTable::BoundAlready(const FrameHeader& header,
                                              const RequestFrame& frame) const {
  const SessionLimits& limits = shared_.limits();
  const bool plain =
      // One comparison for three: this runs for every request.
      (frame.method_name.size() | frame.metadata.size() | frame.payload.codec) == 0 &&
      frame.payload.whole_size <= limits.max_message_bytes &&
      header.id <= shared_.parts.leaving.last_taken() && calls_.size() < limits.max_calls;
  if (!plain) return nullptr;
  const BoundMethod* const bound = methods_.Find(header.aux);
  return bound != nullptr && header.has(kEnd) != ClientStreams(bound->method->info->kind) ? bound
                                                                                          : nullptr;
}

// The method of a request that may be served. Null: the request was answered, or the connection
// failed.
const BoundMethod* InboundTable::Admit(const FrameHeader& header, const RequestFrame& frame) {
  const BoundMethod* bound = nullptr;
  std::string unknown;
  if (!BindName(header.aux, frame.method_name, &bound, &unknown)) return nullptr;
  absl::Status refused = AdmitRequest(frame, header.id);
  if (refused.ok() && bound == nullptr) {
    refused = shared_.sink != nullptr
                  ? shared_.sink->Unknown(unknown)
                  : absl::UnimplementedError(absl::StrCat(
                        "this side offers no services; asked for ", Printable::Text(unknown)));
  }
  // END says that no stream of requests follows, so it must fit the method.
  if (refused.ok() && header.has(kEnd) == ClientStreams(bound->method->info->kind)) {
    refused = absl::UnimplementedError(
        absl::StrCat(std::string(bound->method->info->full_name),
                     header.has(kEnd) ? ": the method takes a stream, not one request"
                                      : ": the method takes one request, not a stream"));
  }
  if (!refused.ok()) {
    shared_.frames().SendError(header.id, refused, /*not_executed=*/true);
    return nullptr;
  }
  return bound;
}

// Returns why this request may not be served, or OK.
absl::Status InboundTable::AdmitRequest(const RequestFrame& frame, uint64_t id) {
  const SessionLimits& limits = shared_.limits();
  if (id > shared_.parts.leaving.last_taken())
    return absl::UnavailableError("the server is going away");
  // The limit holds for the message that the handler gets, not for its compressed form.
  const size_t size = std::max(frame.payload.whole_size, frame.payload.inflated_size);
  if (size > limits.max_message_bytes) {
    return Errors::TooLarge(
        "the request", size, limits.max_message_bytes,
        Errors::OwnSetting(shared_.frames().end, "max_message_bytes", Side::kServer));
  }
  if (absl::Status s = shared_.CheckCompressed(frame.payload); !s.ok()) {
    return Annotate(s, "the request");
  }
  if (frame.metadata.size() > limits.max_metadata_bytes) {
    return Errors::TooLarge(
        "the request's metadata", frame.metadata.size(), limits.max_metadata_bytes,
        Errors::OwnSetting(shared_.frames().end, "max_metadata_bytes", Side::kServer));
  }
  // The table also holds answered calls on their way back to the pool. They do not count: the
  // client has seen their answers and may have sent new calls.
  if (calls_.size() >= limits.max_calls) {
    uint64_t under_way = taken_;
    {
      MutexLock lock(shared_.frames().output().mutex());
      under_way -= shared_.link->answers().answered();
    }
    if (under_way >= limits.max_calls) {
      return absl::ResourceExhaustedError(absl::StrCat(
          under_way, " calls are under way on this connection, the limit is ", limits.max_calls,
          " (", Errors::OwnSetting(shared_.frames().end, "max_calls", Side::kServer), ")"));
    }
  }
  return absl::OkStatus();
}

// Finds the method for `number` or `name`. False: the connection failed.
bool InboundTable::BindName(uint16_t number, std::string_view name, const BoundMethod** bound,
                            std::string* unknown) {
  if (!name.empty()) {
    *bound = shared_.sink != nullptr ? shared_.sink->Find(name) : nullptr;
    if (*bound == nullptr) *unknown = std::string(name);
    // The client has no number left for the method, so it names it in each request.
    if (number == 0) return true;
    const size_t most = shared_.limits().max_methods;
    if (number > std::min<size_t>(most, 65535)) {
      shared_.faults.Fail(
          CloseReason::kBadFrame,
          absl::StrCat("method number ", number, " is over the limit of ", most, " (max_methods)"));
      return false;
    }
    // Bound even if there is no such method: the client uses the number from now on, and each use
    // is answered with the same error.
    const absl::Status s = methods_.Bind(number, *bound, *unknown, shared_.frames().input());
    if (!s.ok()) shared_.faults.Fail(CloseReason::kInputFull, std::string(s.message()));
    return s.ok();
  }
  *bound = methods_.Find(number);
  if (*bound != nullptr || methods_.FindUnknown(number, unknown)) return true;
  shared_.faults.Fail(CloseReason::kBadFrame,
                      absl::StrCat("method number ", number, " was never bound"));
  return false;
}

void InboundTable::OpenStream(InboundCall& call) {
  const std::shared_ptr<NativeLink>& link = shared_.link;
  const MethodKind kind = call.bound->method->info->kind;
  auto port = std::make_shared<InboundStream>(call);
  link->streams().OpenInbound(call, *port, kind,
                              std::shared_ptr<StreamTransport>(link, &link->streams()));
  port->codec().store(call.reply_codec, std::memory_order_relaxed);
  call.stream = std::move(port);
  // A handler that waits for messages is woken at the deadline.
  if (call.deadline != kNever) shared_.wheel.Insert(&call, call.deadline);
}

void InboundTable::TakeCancel(uint64_t id) {
  InboundCall* const call = calls_.Find(id);
  if (call == nullptr) return;
  // The part of an answer that has not been written is of no use any more.
  shared_.link->answers().Drop(id);
  const Assembly* const assembly = shared_.parts.unfinished.Find(id, /*reply=*/false);
  const bool unfinished = assembly != nullptr && assembly->call == call;
  shared_.parts.unfinished.Drop(id, /*reply=*/false);
  // Told last: the handler may answer, and so end the session. A request that never became whole
  // has no handler yet, so it is refused here.
  if (unfinished) {
    call->Refuse(absl::CancelledError("cancelled before its request had come"));
    return;
  }
  call->MarkCancelled();
  if (shared_.sink != nullptr) shared_.sink->OnCancelled(*call);
}

void InboundTable::EndCall(uint64_t id, const absl::Status& why) {
  InboundCall* const call = calls_.Find(id);
  if (call != nullptr && shared_.link->answers().Abort(*call, why)) call->MarkCancelled();
}

// Copied out first: a handler that is told may answer at once, and a large answer may end the
// session. Answered calls stay in the table until the loop collects them.
void InboundTable::CancelAll() {
  std::vector<InboundCall*> calls;
  calls.reserve(calls_.size());
  calls_.ForEach([&](uint64_t, InboundCall* call) { calls.push_back(call); });
  for (InboundCall* call : calls) call->MarkStopped();
  if (shared_.sink != nullptr) shared_.sink->OnAllCancelled(shared_.link->answers());
}

void InboundTable::Clear() {
  calls_.ForEach([this](uint64_t, InboundCall* call) {
    shared_.loop.AssertInLoop();
    shared_.wheel.Remove(call);
  });
  calls_.Clear();
}

void InboundTable::OnCallReturned(InboundCall& call) {
  calls_.Take(call.id.load(std::memory_order_relaxed));
  const bool watched = shared_.parts.leaving.watched();
  if (ABSL_PREDICT_FALSE(call.in_wheel() || call.stream != nullptr || watched)) ForgetSlow(call);
}

// Slow path: the call may also be in the wheel or among unfinished messages, or a leaving side
// waits for its last call.
ABSL_ATTRIBUTE_NOINLINE void InboundTable::ForgetSlow(InboundCall& call) {
  shared_.wheel.Remove(&call);
  if (call.stream != nullptr) {
    shared_.parts.unfinished.Drop(call.id.load(std::memory_order_relaxed), /*reply=*/false);
  }
  if (shared_.parts.leaving.watched()) shared_.parts.leaving.TellIfIdle();
}

void InboundTable::WatchDeadline(uint64_t id) {
  InboundCall* const call = calls_.Find(id);
  if (call != nullptr && !call->in_wheel()) shared_.wheel.Insert(call, call->deadline);
}

}  // namespace weft::internal::native
