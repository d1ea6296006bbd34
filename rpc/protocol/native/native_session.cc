#include "weft/rpc/protocol/native/native_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::native {
namespace {

constexpr size_t kMaxGoAwayBytes = 1024;

std::string_view GoAwayText(const absl::Status& why) {
  const absl::string_view text = why.message();
  return std::string_view(text.data(), text.size()).substr(0, kMaxGoAwayBytes);
}

CloseReason ReasonOf(FrameError error) {
  switch (error) {
    case FrameError::kTooLong:
      return CloseReason::kFrameTooLong;
    case FrameError::kUnknownType:
      return CloseReason::kUnknownFrameType;
    case FrameError::kReservedBits:
      return CloseReason::kReservedBits;
    default:
      return CloseReason::kBadFrame;
  }
}

}  // namespace

NativeSession::NativeSession(IoThread& io, SessionHost& host, InboundSink* sink,
                             std::shared_ptr<CallPool> pool, std::unique_ptr<Transport> transport,
                             std::string peer, NativeSessionOptions options)
    : loop_(*io.loop),
      wheel_(*io.wheel),
      host_(host),
      sink_(sink),
      pool_(std::move(pool)),
      dialer_(options.dialer),
      max_heartbeat_(options.max_heartbeat),
      compression_(options.compression),
      handshake_limit_(
          ToNanos(std::min(options.handshake_timeout, options.limits->handshake_timeout))),
      max_frame_(std::clamp(options.limits->max_frame_bytes, kMinFrame, kLargestFrame)),
      link_(NativeLink::Make(
          std::make_shared<FrameOutput>(io.loop, std::move(transport), std::move(peer),
                                        options.limits, std::move(options.input)),
          *io.wheel, pool_,
          options.gate != nullptr
              ? options.gate
              : std::make_shared<InflateGate>(options.limits->inflate,
                                              options.dialer ? "channel" : "server"))),
      facts_(options.dialer ? std::make_unique<const HelloFacts>(std::move(options.own)) : nullptr),
      connection_(*io.loop, *io.arena, link_->shared_frames(), this),
      timer_(*io.loop,
             [this] {
               loop_.AssertInLoop();
               if (refused_ != nullptr) {
                 connection_.CloseAfterFlush(*refused_, kLastWords);
               } else if (hellos_.taken) {
                 LookForLife();
               } else {
                 Fail(CloseReason::kHandshakeTimeout,
                      absl::StrCat("no Hello within ",
                                   absl::FormatDuration(ToAbsl(handshake_limit_))));
               }
             }),
      look_timer_(*io.loop,
                  [this] {
                    loop_.AssertInLoop();
                    LookForDeadlines();
                  }),
      assembly_(limits().MaxUnfinished(), io.arena->large(), link_->frames().input()) {
  loop_.AssertInLoop();
  link_->Attach(this);
  io.trimmer->Add(*this);
  if (pool_ != nullptr) io.trimmer->Watch(pool_);
}

NativeSession::~NativeSession() {
  loop_.AssertInLoop();
  WEFT_DCHECK(phase_ == Phase::kEnded);
}

size_t NativeSession::OnBytes(const BlockRef& block, const char* data, size_t size,
                              InputNeed* need) {
  loop_.AssertInLoop();
  if (pool_ != nullptr) pool_->Collect();
  size_t used = 0;
  input_ = &block;
  *need = InputNeed();
  if (phase_ == Phase::kOpening) used = TakePreface(data, size);
  while (used < size && (phase_ == Phase::kHello || phase_ == Phase::kVerdict)) {
    const size_t taken = TakeEarly(data + used, size - used, need);
    used += taken;
    if (taken == 0) break;
  }
  const uint64_t taken = taken_;
  used += TakeBytes(block, data + used, size - used, need);
  if (taken_ != taken && sink_ != nullptr) sink_->OnLookedThrough(size);
  CompleteReplies();
  input_ = nullptr;
  if (peer_leaves_ == PeerLeaves::kNamed) TellIfIdle();
  if (phase_ >= Phase::kEnding) return size;
  if (used == size && data_left_ > 0) WantDirect(need);
  return used;
}

// Frames of a peer that is known. What comes behind a fault, or after the end was decided, is not
// looked at.
size_t NativeSession::TakeBytes(const BlockRef& block, const char* data, size_t size,
                                InputNeed* need) {
  size_t used = 0;
  while (used < size && phase_ == Phase::kUp) {
    const size_t taken = data_left_ > 0 ? TakeData(data + used, size - used)
                                        : TakeFrame(block, data + used, size - used, need);
    used += taken;
    if (taken == 0) break;
  }
  return used;
}

size_t NativeSession::RoomOfHalf(size_t whole, size_t size) const {
  constexpr size_t kAtOnce = (size_t{64} << 10) + kHeaderSize;
  constexpr size_t kMin = size_t{1} << 10;
  return std::min(whole, std::max(phase_ == Phase::kUp ? kAtOnce : kMin, size * 2));
}

// False: more bytes are needed, or the header was wrong and the connection was failed.
bool NativeSession::TakeHeader(const char* data, size_t size, FrameHeader* header,
                               InputNeed* need) {
  if (size < kHeaderSize) {
    need->frame = kHeaderSize;
    return false;
  }
  *header = ReadHeader(data);
  const FrameError error = FrameReader::CheckHeader(*header, max_frame_);
  if (error != FrameError::kNone) FailFrame(error, *header);
  return error == FrameError::kNone;
}

// One frame, or the header of a DATA frame; 0 when more bytes are needed.
size_t NativeSession::TakeFrame(const BlockRef& block, const char* data, size_t size,
                                InputNeed* need) {
  FrameHeader header;
  if (!TakeHeader(data, size, &header, need)) return 0;
  if (header.type == FrameType::kData) {
    return BeginData(header);
  }
  const size_t whole = kHeaderSize + header.length;
  if (size < whole) {
    need->frame = RoomOfHalf(whole, size);
    return 0;
  }
  TakeWholeFrame(block, header, std::string_view(data + kHeaderSize, header.length));
  return whole;
}

void NativeSession::TakeWholeFrame(const BlockRef& block, const FrameHeader& header,
                                   std::string_view body) {
  switch (header.type) {
    case FrameType::kRequest:
      TakeRequest(block, header, body);
      return;
    case FrameType::kResponse:
      TakeResponse(header, body);
      return;
    case FrameType::kMessage:
      TakeStreamMessage(block, header, body);
      return;
    case FrameType::kHeaders:
      TakeHeaders(header, body);
      return;
    case FrameType::kWindow:
      TakeWindow(header, body);
      return;
    case FrameType::kCancel:
      TakeCancel(header.id);
      return;
    case FrameType::kPing:
      TakePing(header);
      return;
    case FrameType::kGoAway:
      TakeGoAway(header, body);
      return;
    case FrameType::kGoAwayAck:
      if (go_away_.OnAck()) host_.OnGoAwayConfirmed(*this);
      return;
    case FrameType::kHello:
      TakeHello(body);
      return;
    default:
      FailFrame(FrameError::kUnknownType, header);
  }
}

void NativeSession::TakePing(const FrameHeader& header) {
  if (!header.has(kReply))
    link_->frames().SendFrame({0, FrameType::kPing, kReply, 0, header.id}, "");
}

size_t NativeSession::BeginData(const FrameHeader& header) {
  Assembly* assembly = assembly_.Find(header.id, header.has(kReply));
  if (assembly != nullptr) {
    // Exactly the last piece has no MORE.
    const bool last = header.length == assembly->missing();
    if (header.length > assembly->missing() || last == header.has(kMore)) {
      Fail(CloseReason::kBadFrame, "a piece that does not fit its message");
      return 0;
    }
  } else if (header.has(kReply) ? !link_->EverStarted(header.id)
                                : header.id == 0 || header.id > last_inbound_) {
    Fail(CloseReason::kBadFrame, "a piece of a call that was never begun");
    return 0;
  }
  data_header_ = header;
  late_piece_ = false;
  data_left_ = header.length;
  return kHeaderSize;
}

// Bytes of a DATA frame that came with others.
size_t NativeSession::TakeData(const char* data, size_t size) {
  const size_t part = std::min(size, data_left_);
  const bool reply = data_header_.has(kReply);
  if (Assembly* assembly = assembly_.Find(data_header_.id, reply)) {
    const absl::Status s = assembly_.Add(*assembly, data, part, loop_.now());
    if (!s.ok()) EndUnfinished(data_header_.id, reply, s);
  }
  data_left_ -= part;
  if (data_left_ == 0) EndDataFrame();
  return part;
}

// The rest of a piece is read straight into its message, as far as that has room; behind it, where
// another piece comes, only the header of that one, so that it can be read so too.
void NativeSession::WantDirect(InputNeed* need) {
  const bool reply = data_header_.has(kReply);
  Assembly* assembly = assembly_.Find(data_header_.id, reply);
  if (assembly == nullptr) return;
  if (const absl::Status s = assembly_.MakeRoom(*assembly); !s.ok()) {
    EndUnfinished(data_header_.id, reply, s);
    return;
  }
  need->direct = assembly->end();
  need->direct_size = std::min(data_left_, assembly->room - assembly->filled);
  if (data_header_.has(kMore)) need->behind_direct = kHeaderSize;
}

void NativeSession::OnDirect(size_t direct) {
  loop_.AssertInLoop();
  Assembly* assembly = assembly_.Find(data_header_.id, data_header_.has(kReply));
  WEFT_DCHECK(assembly != nullptr && direct <= data_left_);
  assembly->filled += direct;
  assembly->last_piece = loop_.now();
  data_left_ -= direct;
  if (data_left_ == 0) EndDataFrame();
}

void NativeSession::EndDataFrame() {
  const bool reply = data_header_.has(kReply);
  Assembly* assembly = assembly_.Find(data_header_.id, reply);
  if (std::exchange(late_piece_, false)) host_.CountLateReply();
  if (assembly == nullptr || data_header_.has(kMore)) return;
  if (assembly->stream != nullptr) {
    const std::shared_ptr<StreamPort> port = std::move(assembly->stream);
    ReceivedMessage message = assembly->message();
    const bool last = assembly->last;
    const size_t held = assembly->whole + kMessageCost;
    assembly_.Finish(data_header_.id, reply);
    link_->frames().input().Add(held);
    DeliverToStream(*port, std::move(message), last);
    return;
  }
  if (reply) {
    // Those that came before it are completed before it; one of them may end the session.
    CompleteReplies();
    assembly = assembly_.Find(data_header_.id, true);
    if (assembly == nullptr || phase_ >= Phase::kEnding) return;
    const BlockRef block = assembly->block;
    ResponseFrame frame;
    frame.handler_us = assembly->handler_us;
    const std::string trailers = std::move(assembly->trailers);
    frame.metadata = trailers;
    frame.payload.bytes = std::string_view(block->data(), assembly->whole);
    frame.payload.whole_size = static_cast<uint32_t>(assembly->whole);
    frame.payload.codec = static_cast<uint8_t>(assembly->codec);
    frame.payload.inflated_size = assembly->inflated_size;
    frame.payload.attachment_size = static_cast<uint32_t>(assembly->attachment_size);
    const FrameHeader header{0, FrameType::kResponse, kEnd, 0, data_header_.id};
    assembly_.Finish(header.id, true);
    const BlockRef* const outer = std::exchange(input_, &block);
    CompleteReply(link_->Take(header.id), header, frame);
    input_ = outer;
    return;
  }
  InboundCall* call = assembly->call;
  const size_t held = assembly->whole > InboundCall::kSmall ? assembly->whole : 0;
  call->SetRequest(assembly->block, assembly->block->data(), assembly->whole);
  if (assembly->unusual()) {
    call->SetPayload(assembly->codec, assembly->inflated_size, assembly->attachment_size,
                     limits().max_message_bytes, &link_->streams().gate());
  }
  assembly_.Finish(data_header_.id, false);
  link_->frames().input().Add(held);
  call->input_held += held;
  sink_->OnCall(*call);
}

void NativeSession::OnReadEnd() {
  loop_.AssertInLoop();
  link_->CountInput(connection_.bytes_read(), taken_, last_inbound_);
  if (heartbeat_.OnRead()) host_.OnSuspect(*this, false);
  if (phase_ >= Phase::kEnding) return;
  if (link_->frames().OverLimit()) {
    Fail(CloseReason::kOutputFull, absl::StrCat("it does not read what is sent to it (limit ",
                                                limits().MaxOutput(), " bytes, max_output_bytes)"));
  }
}

// Nothing that this side starts stands behind its confirmation.
void NativeSession::TakeGoAway(const FrameHeader& header, std::string_view body) {
  CompleteReplies();
  if (phase_ >= Phase::kEnding) return;
  link_->StopStarting();
  link_->frames().SendFrame({0, FrameType::kGoAwayAck, 0, 0, 0}, "");
  const absl::Status why(
      FromWireCode(header.aux == 0 ? ToWireCode(absl::StatusCode::kUnavailable) : header.aux),
      Printable::Text(body));
  for (OutboundCall* call = link_->GoAway(header.id); call != nullptr;) {
    OutboundCall* next = call->wire().next;
    wheel_.Remove(call);
    DropAssembly(call->wire().id, /*reply=*/true);
    EndCall(*call, why.code(), absl::StrCat("refused, the server is going away: ", why.message()),
            false);
    call = next;
  }
  if (phase_ >= Phase::kEnding) return;  // ended by one of them
  // A connection is not left before its peer's last GOAWAY has come.
  const bool named = header.id != kNoCallNamed || peer_leaves_ == PeerLeaves::kNamed;
  const PeerLeaves before =
      std::exchange(peer_leaves_, named ? PeerLeaves::kNamed : PeerLeaves::kAnnounced);
  if (before == PeerLeaves::kNo) host_.OnGoingAway(*this, why);
}

void NativeSession::TellIfIdle() {
  if (phase_ != Phase::kUp || inbound_.size() > 0) return;
  if (go_away_.state() != GoAwaySteps::State::kTaking) host_.OnInboundCallsEnded(*this);
  if (phase_ != Phase::kUp || peer_leaves_ != PeerLeaves::kNamed) return;
  if (link_->calls_under_way() == 0) host_.OnLastCallEnded(*this);
}

void NativeSession::GoAway(const absl::Status& why) {
  if (phase_ >= Phase::kEnding || go_away_.state() != GoAwaySteps::State::kTaking) return;
  // None of a peer that is not known is taken any more: it may send its calls elsewhere at once.
  if (phase_ != Phase::kUp) {
    NameLastCall(why, /*last=*/false);
    return;
  }
  go_away_.Announce(loop_, why, [this] {
    loop_.AssertInLoop();
    NameLastCall(go_away_.why(), /*last=*/false);
  });
  link_->frames().SendFrame({0, FrameType::kGoAway, 0, ToWireCode(why.code()), kNoCallNamed},
                            GoAwayText(why));
}

void NativeSession::NameLastCall(const absl::Status& why, bool last) {
  if (phase_ >= Phase::kEnding) return;
  // Nothing goes before our preface.
  const bool says = go_away_.Name(last_inbound_) && (phase_ != Phase::kOpening || dialer_);
  // Nor before our Hello.
  if (says && !hellos_.sent) SendHello(HelloFacts());
  const FrameHeader header{0, FrameType::kGoAway, 0, ToWireCode(why.code()), last_inbound_};
  if (last) {
    link_->frames().SendLast(says ? &header : nullptr, GoAwayText(why));
  } else if (says) {
    link_->frames().SendFrame(header, GoAwayText(why));
  }
}

void NativeSession::FailFrame(FrameError error, const FrameHeader& header) {
  Fail(ReasonOf(error), Errors::BrokenFrame(error, header, max_frame_));
}

// The peer broke the protocol. It is told why, if it speaks the protocol at all, and the connection
// ends: answers under way are not for a peer that is out of step.
void NativeSession::Fail(CloseReason reason, std::string_view what) {
  const absl::Status why = Errors::Closed(peer(), what);
  if (phase_ != Phase::kOpening) {
    CompleteReplies();
    NameLastCall(absl::UnavailableError(absl::string_view(what.data(), what.size())),
                 /*last=*/true);
    CloseWhenWritten(reason, why, kLastWords);
    return;
  }
  Close(reason, why);
}

void NativeSession::CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) {
  if (phase_ >= Phase::kEnding) return;
  // What the peer still sends is not taken: it may send it elsewhere.
  if (go_away_.state() == GoAwaySteps::State::kAnnounced) {
    NameLastCall(go_away_.why(), /*last=*/false);
  }
  if (phase_ >= Phase::kEnding) return;  // the write found the connection broken
  if (!std::exchange(reason_set_, true)) reason_ = reason;
  phase_ = Phase::kEnding;
  link_->StopStarting();  // nobody would read what is written behind the last words
  connection_.CloseAfterFlush(why, limit);
}

void NativeSession::Close(CloseReason reason, const absl::Status& why) {
  if (!std::exchange(reason_set_, true)) reason_ = reason;
  connection_.Close(why);
}

void NativeSession::OnClosed(const absl::Status& reason, size_t pending) {
  loop_.AssertInLoop();
  phase_ = Phase::kEnded;
  absl::Status why = reason;
  if (!std::exchange(reason_set_, true)) {
    reason_ = reason.ok()                         ? CloseReason::kPeerClosed
              : absl::IsResourceExhausted(reason) ? CloseReason::kInputFull
                                                  : CloseReason::kBroken;
    // Whatever code goes with the errno: EPIPE's is FAILED_PRECONDITION, ETIMEDOUT's says deadline.
    if (!reason.ok()) why = absl::UnavailableError(reason.message());
    if (reason.ok() && (pending > 0 || data_left_ > 0)) {
      reason_ = CloseReason::kTruncatedFrame;
      why = absl::UnavailableError(absl::StrCat(peer(), " closed the connection inside a frame"));
    }
  }
  if (refused_ != nullptr) why = *refused_;
  if (why.ok()) why = absl::UnavailableError(absl::StrCat(peer(), " closed the connection"));
  timer_.Stop();
  look_timer_.Stop();
  if (held_ != nullptr) link_->frames().input().Remove(held_->bytes());
  held_.reset();
  if (late_timer_ != nullptr) late_timer_->Stop();
  go_away_.Stop();
  data_left_ = 0;
  // Each step below runs callbacks. None of them changes what the next one walks through: it is
  // taken out first.
  EndAllCalls(why);
  CancelInbound();
  std::vector<InboundCall*> unfinished;
  assembly_.ForEachCall([&](InboundCall& call) { unfinished.push_back(&call); });
  assembly_.Clear();
  for (InboundCall* call : unfinished) call->Refuse(why);
  inbound_.ForEach([this](uint64_t, InboundCall* call) {
    loop_.AssertInLoop();
    wheel_.Remove(call);
  });
  link_->Attach(nullptr);
  inbound_.Clear();
  host_.OnEnded(*this, reason_, why);
}

// What is told may answer at once, and a large answer may end the session. Calls that have been
// answered stay what they are until the loop collects them.
void NativeSession::CancelInbound() {
  std::vector<InboundCall*> calls;
  calls.reserve(inbound_.size());
  inbound_.ForEach([&](uint64_t, InboundCall* call) { calls.push_back(call); });
  for (InboundCall* call : calls) call->MarkStopped();
  if (sink_ != nullptr) sink_->OnAllCancelled(link_->answers());
}

}  // namespace weft::native
