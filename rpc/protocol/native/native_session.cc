#include "weft/rpc/protocol/native/native_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"

namespace weft::native {
namespace {

using State = SessionPhase::State;

CloseReason ReasonOf(FrameError error) {
  return error == FrameError::kTooLong ? CloseReason::kFrameTooLong : CloseReason::kBadFrame;
}

std::shared_ptr<NativeLink> MakeLink(IoThread& io, std::shared_ptr<CallPool> pool,
                                     std::unique_ptr<Transport> transport, std::string peer,
                                     NativeSessionOptions& options) {
  auto gate = options.gate != nullptr
                  ? options.gate
                  : std::make_shared<InflateGate>(options.limits->inflate,
                                                  options.dialer ? "channel" : "server");
  return NativeLink::Make(
      std::make_shared<FrameOutput>(io.loop, std::move(transport), std::move(peer), options.limits,
                                    std::move(options.input)),
      *io.wheel, std::move(pool), std::move(gate));
}

}  // namespace

NativeSession::NativeSession(IoThread& io, SessionHost& host, InboundSink* sink,
                             std::shared_ptr<CallPool> pool, std::unique_ptr<Transport> transport,
                             std::string peer, NativeSessionOptions options)
    : shared_{.loop = *io.loop,
              .wheel = *io.wheel,
              .session = *this,
              .host = host,
              .faults = *this,
              .sink = sink,
              .pool = pool,
              .link = MakeLink(io, pool, std::move(transport), std::move(peer), options),
              .parts = {.connection = connection_,
                        .timer = timer_,
                        .handshake = handshake_,
                        .demultiplexer = frames_,
                        .inbound = inbound_,
                        .replies = replies_,
                        .ender = ender_,
                        .streams = streams_,
                        .unfinished = unfinished_,
                        .leaving = leaving_,
                        .life = life_,
                        .trim = trim_}},
      connection_(*io.loop, *io.arena, shared_.link->shared_frames(), this),
      timer_(*io.loop,
             [this] {
               shared_.loop.AssertInLoop();
               if (!handshake_.OnTimer()) life_.Look();
             }),
      handshake_(
          shared_,
          options.dialer ? std::make_unique<const HelloFacts>(std::move(options.own)) : nullptr,
          ToNanos(std::min(options.handshake_timeout, options.limits->handshake_timeout))),
      frames_(shared_),
      inbound_(shared_, options.compression),
      replies_(shared_),
      ender_(shared_),
      streams_(shared_),
      unfinished_(shared_, io.arena->large()),
      leaving_(shared_),
      trim_(shared_),
      life_(shared_, options.max_heartbeat) {
  shared_.loop.AssertInLoop();
  shared_.link->Attach(&ender_, &inbound_);
  io.trimmer->Add(trim_);
  if (shared_.pool != nullptr) io.trimmer->Watch(shared_.pool);
}

NativeSession::~NativeSession() {
  shared_.loop.AssertInLoop();
  WEFT_DCHECK(shared_.phase.is(State::kEnded));
}

absl::Status NativeSession::Start(SessionStart start) {
  absl::Status started = connection_.Start(std::move(start.watch));
  if (!started.ok()) {
    Close(CloseReason::kBroken, started);
    return started;
  }
  handshake_.Start();
  connection_.Take(start.first_bytes);
  return absl::OkStatus();
}

// The bytes used of the preface, and of frames that come before the verdict on the peer.
size_t NativeSession::TakeOpening(const char* data, size_t size, InputNeed* need) {
  size_t used = 0;
  if (shared_.phase.is(State::kOpening)) used = handshake_.TakePreface(data, size);
  while (used < size && (shared_.phase.is(State::kHello) || shared_.phase.is(State::kVerdict))) {
    const size_t taken = handshake_.TakeEarly(data + used, size - used, need);
    used += taken;
    if (taken == 0) break;
  }
  return used;
}

size_t NativeSession::OnBytes(const BlockRef& block, const char* data, size_t size,
                              InputNeed* need) {
  shared_.loop.AssertInLoop();
  if (shared_.pool != nullptr) shared_.pool->Collect();
  replies_.SetInput(&block);
  *need = InputNeed();
  size_t used = shared_.phase.up() ? 0 : TakeOpening(data, size, need);
  const uint64_t calls = inbound_.taken();
  used += frames_.Take(block, data + used, size - used, need);
  if (inbound_.taken() != calls && shared_.sink != nullptr) shared_.sink->OnLookedThrough(size);
  replies_.Complete();
  replies_.SetInput(nullptr);
  if (leaving_.peer_named()) leaving_.TellIfIdle();
  if (shared_.phase.ending()) return size;
  if (used == size && unfinished_.data_left() > 0) unfinished_.WantDirect(need);
  return used;
}

void NativeSession::OnDirect(size_t direct) {
  shared_.loop.AssertInLoop();
  unfinished_.OnDirect(direct);
}

void NativeSession::OnReadEnd() {
  shared_.loop.AssertInLoop();
  shared_.link->CountInput(connection_.bytes_read(), inbound_.taken(), inbound_.last_id());
  life_.OnRead();
  if (shared_.phase.ending()) return;
  if (shared_.frames().OverLimit()) {
    Fail(CloseReason::kOutputFull,
         absl::StrCat("it does not read what is sent to it (limit ", shared_.limits().MaxOutput(),
                      " bytes, max_output_bytes)"));
  }
}

// ---- the end

void NativeSession::FailFrame(FrameError error, const FrameHeader& header) {
  Fail(ReasonOf(error), Errors::BrokenFrame(error, header, frames_.max_frame()));
}

// The peer is told why, if it speaks the protocol at all, and the connection ends: answers under
// way are not for a peer that is out of step.
void NativeSession::Fail(CloseReason reason, std::string_view what) {
  const absl::Status why = Errors::Closed(peer(), what);
  if (shared_.phase.is(State::kOpening)) {
    Close(reason, why);
    return;
  }
  replies_.Complete();
  leaving_.Name(absl::UnavailableError(absl::string_view(what.data(), what.size())),
                /*last=*/true);
  CloseWhenWritten(reason, why, kLastWords);
}

void NativeSession::CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) {
  if (shared_.phase.ending()) return;
  // What the peer still sends is not taken: it may send it elsewhere.
  leaving_.FinishAnnounced();
  if (shared_.phase.ending()) return;  // the write found the connection broken
  shared_.phase.SetReason(reason);
  shared_.phase.Set(State::kEnding);
  shared_.link->StopStarting();  // nobody would read what is written behind the last words
  connection_.CloseAfterFlush(why, limit);
}

void NativeSession::Close(CloseReason reason, const absl::Status& why) {
  shared_.phase.SetReason(reason);
  connection_.Close(why);
}

// Why the connection is over, in words; sets the reason, unless this side had one to close it.
absl::Status NativeSession::WhyClosed(const absl::Status& reason, size_t pending) {
  if (handshake_.refused() != nullptr) {
    shared_.phase.SetReason(CloseReason::kUnauthenticated);
    return *handshake_.refused();
  }
  absl::Status why = reason;
  if (!shared_.phase.has_reason()) {
    if (reason.ok() && (pending > 0 || unfinished_.data_left() > 0)) {
      shared_.phase.SetReason(CloseReason::kTruncatedFrame);
      return absl::UnavailableError(absl::StrCat(peer(), " closed the connection inside a frame"));
    }
    shared_.phase.SetReason(reason.ok()                         ? CloseReason::kPeerClosed
                            : absl::IsResourceExhausted(reason) ? CloseReason::kInputFull
                                                                : CloseReason::kBroken);
    // Whatever code goes with the errno: EPIPE's is FAILED_PRECONDITION, ETIMEDOUT's says deadline.
    if (!reason.ok()) why = absl::UnavailableError(reason.message());
  }
  if (why.ok()) why = absl::UnavailableError(absl::StrCat(peer(), " closed the connection"));
  return why;
}

void NativeSession::OnClosed(const absl::Status& reason, size_t pending) {
  shared_.loop.AssertInLoop();
  const absl::Status why = WhyClosed(reason, pending);
  shared_.phase.Set(State::kEnded);
  timer_.Stop();
  handshake_.Stop();
  leaving_.Stop();
  unfinished_.Stop();
  // Each step below runs callbacks. None of them changes what the next one walks through: it is
  // taken out first.
  replies_.Complete();
  ender_.EndAll(why);
  CancelInbound();
  unfinished_.EndAll(why);
  shared_.link->Attach(nullptr, nullptr);
  inbound_.Clear();
  shared_.host.OnEnded(*this, shared_.phase.reason(), why);
}

}  // namespace weft::native
