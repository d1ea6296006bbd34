#include "weft/rpc/protocol/native/handshake_phase.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/frame_demultiplexer.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/life_watch.h"
#include "weft/rpc/protocol/native/reply_reader.h"

namespace weft::native {
namespace {

using State = SessionPhase::State;

// Of what an authenticator says, to the peer.
constexpr size_t kMaxReasonBytes = 1024;
// How long a refused peer is read that was still sending.
constexpr Nanos kRefusalLinger = std::chrono::milliseconds(500);
// Room for a few of the largest messages, where nothing else was asked for, is no reason to read on
// while many small ones wait: the pause is reckoned from no more than this.
constexpr size_t kMaxForPause = size_t{64} << 20;

}  // namespace

HandshakePhase::HandshakePhase(SessionShared& shared, std::unique_ptr<const HelloFacts> own,
                               Nanos limit)
    : shared_(shared), dialer_(own != nullptr), limit_(limit), facts_(std::move(own)) {}

void HandshakePhase::Start() {
  shared_.parts.timer.StartAfter(limit_);
  if (dialer_) SendHello(*std::exchange(facts_, nullptr));
}

bool HandshakePhase::OnTimer() {
  if (refused_ != nullptr) {
    shared_.parts.connection.CloseAfterFlush(*refused_, kLastWords);
    return true;
  }
  if (hello_taken_) return false;
  shared_.faults.Fail(CloseReason::kHandshakeTimeout,
                      absl::StrCat("no Hello within ", absl::FormatDuration(ToAbsl(limit_))));
  return true;
}

void HandshakePhase::Stop() {
  if (verdicts_ != nullptr) *std::exchange(verdicts_, nullptr) = nullptr;
  if (held_ != nullptr) shared_.frames().input().Remove(held_->bytes());
  held_.reset();
}

void HandshakePhase::SendHello(const HelloFacts& own) {
  hello_sent_ = true;
  FrameOutput& out = shared_.frames();
  {
    MutexLock lock(out.output().mutex());
    StoreBytes(out.output().Reserve(kPreface.size()), kPreface.data(), kPreface.size());
    out.output().Commit(kPreface.size());
  }
  out.SendFrame({0, FrameType::kHello, 0, 0, 0}, Handshake::MakeHello(shared_.limits(), own));
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
  auto facts = std::make_unique<const HelloFacts>(std::move(hello->facts));
  HelloFacts own;
  const absl::Status welcome = shared_.host.OnHello(shared_.session, *facts, &own);
  // The host may have closed it; so may the write, where the peer has gone.
  if (shared_.phase.is(State::kHello) && !hello_sent_) SendHello(own);
  if (!shared_.phase.is(State::kHello)) return;
  shared_.link->SetPeer(*hello);
  shared_.phase.Set(State::kVerdict);
  if (!welcome.ok()) {
    Refuse(welcome, nullptr);
    return;
  }
  facts_ = std::move(facts);
  shared_.parts.timer.Stop();
  shared_.parts.life.Begin(hello->heartbeat, hello->heartbeat_misses);
  AskForVerdict();
}

void HandshakePhase::AskForVerdict() {
  verdicts_ = std::make_shared<HandshakePhase*>(this);
  shared_.host.Authenticate(
      shared_.session, facts_->token,
      [loop = shared_.frames().shared_loop(),
       verdicts = verdicts_](absl::StatusOr<std::string> identity) {
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

// A verdict may come when the session has ended.
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
  if (header.type == FrameType::kHello) {
    TakeHello(std::string_view(data + kHeaderSize, header.length));
    return whole;
  }
  if (header.type == FrameType::kPing) {
    shared_.parts.demultiplexer.TakePing(header);
    return whole;
  }
  // What is held is no stranger's to know, nor what may be.
  if (const absl::Status s = Hold(std::string_view(data, whole)); !s.ok()) {
    shared_.session.Close(CloseReason::kInputFull,
                          Errors::Closed(shared_.peer(), std::string(s.message())));
    return 0;
  }
  if (held_->full()) shared_.parts.connection.HoldReads(true);
  return whole;
}

absl::Status HandshakePhase::Hold(std::string_view frame) {
  InputAccount& input = shared_.frames().input();
  const size_t cost = frame.size() + HeldFrames::kCost;
  if (absl::Status s = input.TryAdd(cost); !s.ok()) return s;
  if (held_ == nullptr) held_ = std::make_unique<HeldFrames>();
  if (held_->Keep(frame, shared_.loop.now())) return absl::OkStatus();
  input.Remove(cost);
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", frame.size(), " bytes of input"));
}

void HandshakePhase::TakeVerdict(absl::StatusOr<std::string> identity) {
  if (!shared_.phase.is(State::kVerdict)) return;
  verdicts_.reset();
  const std::unique_ptr<HeldFrames> held = std::move(held_);
  // Gone when this is over.
  if (held != nullptr) shared_.frames().input().Remove(held->bytes());
  if (!identity.ok()) {
    Refuse(identity.status(), held.get());
    return;
  }
  const std::unique_ptr<const HelloFacts> facts = std::move(facts_);
  ConnectedPeer who{shared_.peer(),
                    *identity,
                    facts->node,
                    facts->cluster,
                    facts->incarnation,
                    "native",
                    shared_.frames().agreement().version};
  const absl::Status welcome = shared_.host.OnIdentified(shared_.session, who);
  if (!shared_.phase.is(State::kVerdict)) return;  // the host has closed it
  if (!welcome.ok()) {
    Refuse(welcome, held.get());
    return;
  }
  shared_.phase.Set(State::kUp);
  shared_.frames().input().SetKnown();
  shared_.link->Open(std::move(who));
  if (!dialer_) BoundReading();
  shared_.host.OnUp(shared_.session);
  if (held != nullptr) ServeHeld(*held);
}

// A peer that sends calls and does not read their answers is not read either, unless we wait for
// its answers: two such sides would wait for each other.
void HandshakePhase::BoundReading() {
  const SessionLimits& limits = shared_.limits();
  const size_t most = limits.max_output_bytes > 0 ? limits.max_output_bytes
                                                  : std::min(limits.MaxOutput(), kMaxForPause);
  shared_.parts.connection.PauseReadsAbove(most / 16, most / 4);
}

// What came before the verdict, as if it came now, but that its time has run since. Whole frames,
// so nothing is left over.
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

// Its calls are told so, then the peer, then the connection ends. A peer that still sends is read
// for a moment longer: to close before would reset the connection, and take the last words with it.
void HandshakePhase::Refuse(const absl::Status& why, const HeldFrames* held) {
  const absl::Status told(why.code(), why.message().substr(0, kMaxReasonBytes));
  if (held != nullptr) {
    size_t refusals = 0;
    for (const HeldFrames::Frame& frame : held->frames()) {
      const FrameHeader header = ReadHeader(frame.block->data());
      if (header.type != FrameType::kRequest || ++refusals > kMaxRefusals) continue;
      shared_.frames().SendError(header.id, told, /*not_executed=*/true);
    }
  }
  shared_.session.GoAway(told);
  const absl::Status reason =
      Errors::Closed(shared_.peer(), absl::StrCat("not authenticated: ", why.message()));
  if (held == nullptr || !held->full()) {
    shared_.session.CloseWhenWritten(CloseReason::kUnauthenticated, reason, kLastWords);
    return;
  }
  if (shared_.phase.ending()) return;  // the last words found the connection broken
  refused_ = std::make_unique<const absl::Status>(reason);
  shared_.phase.SetReason(CloseReason::kUnauthenticated);
  shared_.phase.Set(State::kEnding);
  shared_.link->StopStarting();
  shared_.parts.timer.StartAfter(kRefusalLinger);
  shared_.parts.connection.HoldReads(false);
}

}  // namespace weft::native
