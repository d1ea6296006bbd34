#include "weft/rpc/protocol/native/handshake_phase.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/frame_demultiplexer.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/life_watch.h"
#include "weft/rpc/protocol/native/reply_reader.h"

namespace weft::internal::native {
namespace {

using State = SessionPhase::State;

// Bytes of an authenticator's reason that the peer is told.
constexpr size_t kMaxReasonBytes = 1024;
// How long a refused peer is read that is still sending.
constexpr Nanos kRefusalLinger = std::chrono::milliseconds(500);
// Cap on the default bound for pausing: room for a few of the largest messages is no reason to read
// on while many small ones wait.
constexpr size_t kMaxForPause = size_t{64} << 20;

// An authenticator's "who are you?" alone says nothing to an operator at the other side. An
// authenticator that knows its caller and denies it says why itself.
absl::Status ToldOf(const absl::Status& refusal, bool token_shown) {
  if (!absl::IsUnauthenticated(refusal)) return refusal;
  return absl::UnauthenticatedError(
      absl::StrCat(token_shown ? "the token is refused: " : "no token was shown (auth_token): ",
                   refusal.message()));
}

}  // namespace

HandshakePhase::HandshakePhase(SessionShared& shared, Options options)
    : shared_(shared),
      dialer_(options.own != nullptr),
      hello_after_verdict_(options.hello_after_verdict && !dialer_),
      pair_(options.pair),
      may_pause_(!dialer_),
      until_verdict_(new UntilVerdict{.limit = options.limit, .facts = std::move(options.own)}) {}

void HandshakePhase::Start() {
  timed_ = true;
  shared_.parts.timer.StartAfter(until_verdict_->limit);
  // The accepting side sends its Hello later: the host decides by the dialer's what it says.
  if (!dialer_) return;
  const std::unique_ptr<const HelloFacts> own = std::move(until_verdict_->facts);
  SendHello(MakeHello(*own));
}

bool HandshakePhase::OnTimer() {
  // kRefusalLinger is over: the peer has had its time to read the refusal.
  if (refused_ != nullptr) {
    shared_.parts.connection.CloseAfterFlush(*refused_, kLastWords);
    return true;
  }
  if (!timed_) return false;
  // The verdict was a refusal, or the Hello could not be written.
  if (until_verdict_ == nullptr) return true;
  const absl::string_view missing = !hello_taken_      ? "no Hello"
                                    : refused_by_peer_ ? "no reason why it refuses this side"
                                                       : "no verdict on it";
  shared_.faults.Fail(
      CloseReason::kHandshakeTimeout,
      absl::StrCat(missing, " within ", absl::FormatDuration(ToAbsl(until_verdict_->limit))));
  return true;
}

void HandshakePhase::Stop() {
  if (until_verdict_ == nullptr) return;
  Verdicts& verdicts = until_verdict_->verdicts;
  if (verdicts != nullptr) *std::exchange(verdicts, nullptr) = nullptr;
  std::unique_ptr<HeldFrames>& held = until_verdict_->held;
  if (held != nullptr) shared_.frames().input().Remove(held->bytes());
  held.reset();
}

// Writing may find the connection broken and end the session.
void HandshakePhase::SendHello(const std::string& hello) {
  hello_sent_ = true;
  FrameOutput& out = shared_.frames();
  {
    MutexLock lock(out.output().mutex());
    StoreBytes(out.output().Reserve(kPreface.size()), kPreface.data(), kPreface.size());
    out.output().Commit(kPreface.size());
  }
  out.SendFrame({0, FrameType::kHello, 0, 0, 0}, hello);
}

std::string HandshakePhase::MakeHello(const HelloFacts& own) {
  return Handshake::MakeHello(shared_.limits(), own, pair_ ? uint64_t{kClock} : 0);
}

void HandshakePhase::SendRefusal() { SendHello(Handshake::MakeRefusal(shared_.limits())); }

// Sends this side's Hello unless it was sent. False: the session has ended or is ending.
bool HandshakePhase::SendOwnHello(const HelloFacts& own) {
  if (!hello_sent_) SendHello(MakeHello(own));
  return !shared_.phase.ending();
}

// Replaces the handshake's timer by the heartbeat. The peer's Hello has its interval, and ours has
// told the peer ours.
void HandshakePhase::WatchLife(const UntilVerdict& agreed) {
  timed_ = false;
  shared_.parts.timer.Stop();
  shared_.parts.life.Begin(agreed.heartbeat, agreed.heartbeat_misses);
}

size_t HandshakePhase::TakePreface(const char* data, size_t size) {
  const size_t have = std::min(size, kPreface.size());
  if (std::memcmp(data, kPreface.data(), have) != 0) {
    shared_.faults.Fail(
        CloseReason::kUnknownProtocol,
        absl::StrCat("wrong preface: it begins with \"",
                     absl::CHexEscape(absl::string_view(data, std::min<size_t>(size, 16))), "\""));
    return 0;
  }
  if (have < kPreface.size()) return 0;
  shared_.phase.Set(State::kHello);
  return have;
}

void HandshakePhase::TakeHello(std::string_view body) {
  if (std::exchange(hello_taken_, true)) {
    shared_.faults.Fail(CloseReason::kBadFrame, "a second Hello");
    return;
  }
  absl::StatusOr<PeerHello> hello = Handshake::ReadHello(body, shared_.limits());
  if (!hello.ok()) {
    shared_.faults.Fail(
        absl::IsFailedPrecondition(hello.status()) ? CloseReason::kVersion : CloseReason::kBadFrame,
        absl::StrCat("handshake: ", std::string(hello.status().message())));
    return;
  }
  if (dialer_ && hello->refused) {
    // The reason follows in a GOAWAY; wait for it.
    refused_by_peer_ = true;
    shared_.phase.Set(State::kVerdict);
    return;
  }
  auto facts = std::make_unique<const HelloFacts>(std::move(hello->facts));
  HelloFacts own;
  const absl::Status welcome = shared_.host.OnHello(shared_.session, *facts, &own);
  if (shared_.phase.ending()) return;  // the host has closed it
  if (welcome.ok() && !hello_after_verdict_ && !SendOwnHello(own)) return;
  // Before Refuse, whose frames are cut to the peer's limits.
  shared_.link->SetPeer(*hello);
  shared_.phase.Set(State::kVerdict);
  if (!welcome.ok()) {
    Refuse(welcome, nullptr);
    return;
  }
  until_verdict_->facts = std::move(facts);
  until_verdict_->heartbeat = hello->heartbeat;
  until_verdict_->heartbeat_misses = hello->heartbeat_misses;
  if (!hello_after_verdict_) WatchLife(*until_verdict_);
  AskForVerdict();
}

void HandshakePhase::AskForVerdict() {
  const Verdicts waits = until_verdict_->verdicts = std::make_shared<HandshakePhase*>(this);
  shared_.host.Authenticate(
      shared_.session, until_verdict_->facts->token,
      [loop = shared_.frames().shared_loop(),
       verdicts = waits](absl::StatusOr<std::string> identity) {
        // A verdict that is known at once is given inside Authenticate: no turn is lost. All others
        // come from a thread of the authenticator's.
        if (loop->InLoop()) {
          loop->AssertInLoop();
          Judge(*verdicts, std::move(identity));
          return;
        }
        loop->Post([loop, verdicts, identity = std::move(identity)](TaskFate fate) mutable {
          if (fate == TaskFate::kCancelled) return;
          loop->AssertInLoop();
          Judge(*verdicts, std::move(identity));
        });
      });
}

// `waits` is null if the session has ended before the verdict.
void HandshakePhase::Judge(HandshakePhase* waits, absl::StatusOr<std::string> identity) {
  if (waits != nullptr) waits->TakeVerdict(std::move(identity));
}

size_t HandshakePhase::TakeEarly(const char* data, size_t size, InputNeed* need) {
  FrameHeader header;
  if (!shared_.parts.demultiplexer.TakeHeader(data, size, &header, need)) return 0;
  if (shared_.phase.is(State::kHello) && header.type != FrameType::kHello) {
    shared_.faults.Fail(CloseReason::kBadFrame, "a frame before its Hello");
    return 0;
  }
  const size_t whole = kHeaderSize + header.length;
  if (size < whole) {
    need->frame = shared_.parts.demultiplexer.RoomOfHalf(whole, size);
    return 0;
  }
  return TakeFrame(header, std::string_view(data, whole));
}

// Takes a whole frame with its header.
size_t HandshakePhase::TakeFrame(const FrameHeader& header, std::string_view frame) {
  const std::string_view body = frame.substr(kHeaderSize);
  if (header.type == FrameType::kHello) {
    TakeHello(body);
    return frame.size();
  }
  // A PING before this side's Hello is held, for nothing may go out before that.
  if (header.type == FrameType::kPing && hello_sent_) {
    shared_.parts.demultiplexer.TakePing(header, body);
    return frame.size();
  }
  if (header.type == FrameType::kGoAway && refused_by_peer_) {
    TakeRefusal(header, body);
    return frame.size();
  }
  // Close without telling the peer why: a stranger must not learn how much is held, or may be.
  if (const absl::Status s = Hold(frame); !s.ok()) {
    shared_.session.Close(CloseReason::kInputFull, Errors::Closed(std::string(s.message())));
    return 0;
  }
  if (until_verdict_->held->full()) shared_.parts.connection.HoldReads(true);
  return frame.size();
}

void HandshakePhase::TakeRefusal(const FrameHeader& header, std::string_view body) {
  const absl::StatusCode code =
      header.aux == 0 ? absl::StatusCode::kUnavailable : FromWireCode(header.aux);
  shared_.session.Close(
      CloseReason::kGoAway,
      absl::Status(code, absl::StrCat("the peer refuses this side: ", Printable::Text(body))));
}

absl::Status HandshakePhase::Hold(std::string_view frame) {
  InputAccount& input = shared_.frames().input();
  const size_t cost = frame.size() + HeldFrames::kCost;
  if (absl::Status s = input.TryAdd(cost); !s.ok()) return s;
  std::unique_ptr<HeldFrames>& held = until_verdict_->held;
  if (held == nullptr) held = std::make_unique<HeldFrames>();
  if (held->Keep(frame, shared_.loop.now())) return absl::OkStatus();
  input.Remove(cost);
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", frame.size(), " bytes of input"));
}

void HandshakePhase::TakeVerdict(absl::StatusOr<std::string> identity) {
  if (!shared_.phase.is(State::kVerdict)) return;
  // Destroyed when this function returns.
  const std::unique_ptr<UntilVerdict> waited = std::move(until_verdict_);
  const HeldFrames* const held = waited->held.get();
  // Served or refused below, the frames are not held any more; a served request counts for its call
  // again.
  if (held != nullptr) shared_.frames().input().Remove(held->bytes());
  if (!identity.ok()) {
    Refuse(ToldOf(identity.status(), !waited->facts->token.empty()), held);
    return;
  }
  const HelloFacts* const facts = waited->facts.get();
  ConnectedPeer who{shared_.peer(),
                    *identity,
                    facts->node,
                    facts->cluster,
                    facts->incarnation,
                    "native",
                    shared_.frames().agreement().version};
  HelloFacts own;
  const absl::Status welcome =
      shared_.host.OnIdentified(shared_.session, who, *facts, hello_sent_ ? nullptr : &own);
  if (!shared_.phase.is(State::kVerdict)) return;  // the host has closed it
  if (!welcome.ok()) {
    Refuse(welcome, held);
    return;
  }
  if (!SendOwnHello(own)) return;
  if (hello_after_verdict_) WatchLife(*waited);
  SetUp(std::move(who), held);
}

void HandshakePhase::SetUp(ConnectedPeer who, const HeldFrames* held) {
  shared_.phase.Set(State::kUp);
  // First: what the held frames bring counts against the budgets of known peers.
  shared_.frames().input().SetKnown();
  // Before OnUp, in which the host starts calls.
  shared_.link->Open(std::move(who));
  if (may_pause_) BoundReading();
  if (!shared_.phase.up()) return;  // the watch for bytes failed
  shared_.host.OnUp(shared_.session);
  if (held != nullptr && shared_.phase.up()) ServeHeld(*held);
}

void HandshakePhase::SetMayPause(bool may) {
  if (std::exchange(may_pause_, may) == may || !shared_.phase.up()) return;
  if (may) {
    BoundReading();
  } else {
    shared_.parts.connection.PauseReadsAbove(0, 0);
  }
}

// Stops reading from a peer that does not read its answers. Only one side of a connection may do
// so: two such sides would wait for each other for ever.
void HandshakePhase::BoundReading() {
  const SessionLimits& limits = shared_.limits();
  const size_t most = limits.max_output_bytes > 0 ? limits.max_output_bytes
                                                  : std::min(limits.MaxOutput(), kMaxForPause);
  // A quarter leaves room for the answers to what was read already. The low mark is far below, so
  // that reading does not stop and go with each write.
  shared_.parts.connection.PauseReadsAbove(most / 16, most / 4);
}

// Serves the held frames as if they came now, except that their calls' time has run since. They are
// whole frames, so nothing is left over.
void HandshakePhase::ServeHeld(const HeldFrames& held) {
  for (const HeldFrames::Frame& frame : held.frames()) {
    shared_.parts.replies.SetInput(&frame.block);
    shared_.parts.inbound.SetHeldFor(shared_.loop.now() - frame.came);
    InputNeed need;
    (void)shared_.parts.demultiplexer.Take(frame.block, frame.block->data(), frame.size, &need);
    shared_.parts.replies.Complete();
    if (!shared_.phase.up()) break;
  }
  shared_.parts.replies.SetInput(nullptr);
  shared_.parts.inbound.SetHeldFor(Nanos::zero());
  if (shared_.phase.up()) shared_.parts.connection.HoldReads(false);
}

// Answers the peer's held calls with the refusal, then sends the reason, then ends the connection.
// A peer that still sends is read for a moment longer: closing earlier would reset the connection
// and destroy the last words.
void HandshakePhase::Refuse(const absl::Status& why, const HeldFrames* held) {
  // The reason may be long, and goes to a peer that is not trusted.
  const absl::Status told(why.code(), why.message().substr(0, kMaxReasonBytes));
  SendHelloFirst();
  if (shared_.phase.ending()) return;  // the write found the connection broken
  if (held != nullptr) {
    size_t refusals = 0;
    for (const HeldFrames::Frame& frame : held->frames()) {
      const FrameHeader header = ReadHeader(frame.block->data());
      if (header.type != FrameType::kRequest || ++refusals > kMaxRefusals) continue;
      shared_.frames().SendError(header.id, told, /*not_executed=*/true);
    }
  }
  shared_.session.GoAway(told);
  const absl::Status reason = Errors::Closed(absl::StrCat("not authenticated: ", why.message()));
  if (held == nullptr || !held->full()) {
    shared_.session.CloseWhenWritten(CloseReason::kUnauthenticated, reason, kLastWords);
    return;
  }
  if (shared_.phase.ending()) return;  // writing the last words found the connection broken
  refused_ = std::make_unique<const absl::Status>(reason);
  shared_.phase.SetReason(CloseReason::kUnauthenticated);
  shared_.phase.Set(State::kEnding);
  shared_.link->StopStarting();
  shared_.parts.timer.StartAfter(kRefusalLinger);
  shared_.parts.connection.HoldReads(false);
}

}  // namespace weft::internal::native
