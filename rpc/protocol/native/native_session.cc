#include "weft/rpc/protocol/native/native_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/check.h"

namespace weft::internal::native {
namespace {

using State = SessionPhase::State;

// Between nodes: the most output in the system that an urgent frame may have to wait for.
constexpr size_t kMaxUnsentOfPair = size_t{128} << 10;

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
                                    std::move(options.input),
                                    options.pair     ? ConnectionEnd::kNode
                                    : options.dialer ? ConnectionEnd::kDialled
                                                     : ConnectionEnd::kAccepted),
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
              .pool = pool.get(),
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
          {options.dialer ? std::make_unique<const HelloFacts>(std::move(options.own)) : nullptr,
           options.hello_after_verdict, options.pair,
           ToNanos(std::min(options.handshake_timeout, options.limits->handshake_timeout))}),
      frames_(shared_),
      inbound_(shared_, options.compression),
      replies_(shared_),
      ender_(shared_),
      streams_(shared_),
      unfinished_(shared_, io.arena->large()),
      leaving_(shared_),
      trim_(shared_),
      life_(shared_, options.max_heartbeat, /*peer_asks=*/options.pair && !options.dialer) {
  shared_.loop.AssertInLoop();
  if (options.pair) shared_.frames().output().transport().SetMaxUnsent(kMaxUnsentOfPair);
  // Until OnClosed: the link may live longer than the session.
  shared_.link->Attach(&ender_, &inbound_);
  io.trimmer->Add(trim_);
  if (pool != nullptr) io.trimmer->Watch(pool);
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
  // After the handshake's timer runs: these bytes may end the handshake already.
  connection_.Take(start.first_bytes);
  return absl::OkStatus();
}

// Takes the preface, and frames before the peer's verdict. Returns the bytes used.
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
  // Calls that workers have answered come back before new ones are taken, so that a steady load
  // needs no new ones.
  if (shared_.pool != nullptr) shared_.pool->Collect();
  replies_.SetInput(&block);
  *need = InputNeed();
  size_t used = shared_.phase.up() ? 0 : TakeOpening(data, size, need);
  const uint64_t calls = inbound_.taken();
  used += frames_.Take(block, data + used, size - used, need);
  // The whole read was looked through: the dispatcher hands over its calls as one batch.
  if (inbound_.taken() != calls && shared_.sink != nullptr) shared_.sink->OnLookedThrough(size);
  replies_.Complete();
  replies_.SetInput(nullptr);
  if (leaving_.watched()) leaving_.TellIfIdle();
  // The value does not matter any more: the connection is closed, or drops what comes.
  if (shared_.phase.ending()) return size;
  // Only with nothing left over: the bytes in front would have to come first.
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
  // After each read: the answers to what was read are what fills the output.
  if (shared_.frames().OverLimit()) {
    Fail(CloseReason::kOutputFull,
         absl::StrCat("it does not read what is sent to it (limit ", shared_.limits().MaxOutput(),
                      " bytes, ",
                      Errors::OwnSetting(shared_.frames().end, "max_output_bytes", Side::kServer),
                      ")"));
  }
}

// ---- the end

void NativeSession::FailFrame(FrameError error, const FrameHeader& header) {
  Fail(ReasonOf(error),
       Errors::BrokenFrame(error, header, frames_.max_frame(), shared_.frames().end));
}

// Tells the peer why, if it speaks the protocol at all, and ends the connection. Answers under way
// are not sent: the peer is out of step.
void NativeSession::Fail(CloseReason reason, std::string_view what) {
  const absl::Status why = Errors::Closed(what);
  if (shared_.phase.is(State::kOpening)) {
    Close(reason, why);
    return;
  }
  // Replies that were read before the fault are good, and their callers get them.
  replies_.Complete();
  leaving_.Name(absl::UnavailableError(AbslView(what)),
                /*last=*/true);
  EndWhen(Connection::Until::kWritten, reason, why, kLastWords);
}

void NativeSession::CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) {
  // Calls that are still under way end with the connection, and their callers wait for that.
  const bool idle = shared_.phase.up() && shared_.link->Volume().calls == 0;
  EndWhen(idle ? Connection::Until::kDelivered : Connection::Until::kWritten, reason, why, limit);
}

void NativeSession::EndWhen(Connection::Until until, CloseReason reason, const absl::Status& why,
                            Nanos limit) {
  if (shared_.phase.ending()) return;
  // Name the last call: the peer may send later ones elsewhere at once.
  leaving_.FinishAnnounced();
  if (shared_.phase.ending()) return;  // the write found the connection broken
  shared_.phase.SetReason(reason);
  shared_.phase.Set(State::kEnding);
  shared_.link->StopStarting();  // nothing may be written behind the last words
  connection_.CloseAfterFlush(why, limit, until);
}

void NativeSession::Close(CloseReason reason, const absl::Status& why) {
  shared_.phase.SetReason(reason);
  connection_.Close(why);
}

// Returns why the connection is over, and sets the reason unless this side had one.
absl::Status NativeSession::WhyClosed(const absl::Status& reason, size_t pending) {
  if (handshake_.refused() != nullptr) {
    shared_.phase.SetReason(CloseReason::kUnauthenticated);
    return *handshake_.refused();
  }
  absl::Status why = reason;
  if (!shared_.phase.has_reason()) {
    if (reason.ok() && (pending > 0 || unfinished_.data_left() > 0)) {
      shared_.phase.SetReason(CloseReason::kTruncatedFrame);
      return absl::UnavailableError("the peer closed the connection inside a frame");
    }
    shared_.phase.SetReason(reason.ok()                         ? CloseReason::kPeerClosed
                            : absl::IsResourceExhausted(reason) ? CloseReason::kInputFull
                                                                : CloseReason::kBroken);
    // Always UNAVAILABLE: an errno's code misleads. EPIPE's is FAILED_PRECONDITION, ETIMEDOUT's
    // says deadline.
    if (!reason.ok()) why = absl::UnavailableError(reason.message());
  }
  if (why.ok()) why = absl::UnavailableError("the peer closed the connection");
  return why;
}

void NativeSession::OnClosed(const absl::Status& reason, size_t pending) {
  shared_.loop.AssertInLoop();
  const absl::Status why = WhyClosed(reason, pending);
  shared_.phase.Set(State::kEnded);
  timer_.Stop();
  handshake_.Stop();
  life_.Stop();
  leaving_.Stop();
  unfinished_.Stop();
  // Each step below runs callbacks, which may start or end calls. So each step takes its calls out
  // of the tables first, and then ends them.
  replies_.Complete();
  ender_.EndAll(why);
  CancelInbound();
  unfinished_.EndAll(why);
  // The link may be held by callers for long; from here on it finds no session.
  shared_.link->Attach(nullptr, nullptr);
  inbound_.Clear();
  shared_.host.OnEnded(*this, shared_.phase.reason(), why);
}

}  // namespace weft::internal::native
