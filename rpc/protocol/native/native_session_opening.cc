// The opening of a native session: preface, Hello, verdict; and the heartbeat that was agreed in
// it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

// Of what an authenticator says, to the peer.
constexpr size_t kMaxReasonBytes = 1024;
// How long a refused peer is read that was still sending.
constexpr Nanos kRefusalLinger = std::chrono::milliseconds(500);
// Room for a few of the largest messages, where nothing else was asked for, is no reason to read on
// while many small ones wait: the pause is reckoned from no more than this.
constexpr size_t kMaxForPause = size_t{64} << 20;

}  // namespace

absl::Status NativeSession::Start(SessionStart start) {
  absl::Status started = connection_.Start(std::move(start.watch));
  if (!started.ok()) {
    Close(CloseReason::kBroken, started);
    return started;
  }
  timer_.StartAfter(handshake_limit_);
  if (dialer_) SendHello(*std::exchange(facts_, nullptr));
  connection_.Take(start.first_bytes);
  return absl::OkStatus();
}

void NativeSession::SendHello(const HelloFacts& own) {
  hellos_.sent = true;
  {
    MutexLock lock(link_->frames().output().mutex());
    StoreBytes(link_->frames().output().Reserve(kPreface.size()), kPreface.data(), kPreface.size());
    link_->frames().output().Commit(kPreface.size());
  }
  link_->frames().SendFrame({0, FrameType::kHello, 0, 0, 0}, Handshake::MakeHello(limits(), own));
}

// The preface is refused at its first wrong byte, so that another protocol's client is not kept
// waiting.
size_t NativeSession::TakePreface(const char* data, size_t size) {
  const size_t have = std::min(size, kPreface.size());
  if (std::memcmp(data, kPreface.data(), have) != 0) {
    Fail(CloseReason::kWrongPreface,
         absl::StrCat("wrong preface: it begins with \"",
                      absl::CHexEscape(absl::string_view(data, std::min<size_t>(size, 16))), "\""));
    return 0;
  }
  if (have < kPreface.size()) return 0;
  phase_ = Phase::kHello;
  return have;
}

void NativeSession::TakeHello(std::string_view body) {
  if (std::exchange(hellos_.taken, true)) {
    Fail(CloseReason::kSecondHello, "a second Hello");
    return;
  }
  absl::StatusOr<PeerHello> hello = Handshake::ReadHello(body, limits());
  if (!hello.ok()) {
    Fail(
        absl::IsFailedPrecondition(hello.status()) ? CloseReason::kVersion : CloseReason::kBadFrame,
        absl::StrCat("handshake: ", std::string(hello.status().message())));
    return;
  }
  auto facts = std::make_unique<const HelloFacts>(std::move(hello->facts));
  HelloFacts own;
  const absl::Status welcome = host_.OnHello(*this, *facts, &own);
  // The host may have closed it; so may the write, where the peer has gone.
  if (phase_ == Phase::kHello && !hellos_.sent) SendHello(own);
  if (phase_ != Phase::kHello) return;
  link_->SetPeer(*hello);
  const PeerSettings& agreed = link_->frames().agreement();
  phase_ = Phase::kVerdict;
  if (!welcome.ok()) {
    RefusePeer(welcome, nullptr);
    return;
  }
  facts_ = std::move(facts);
  timer_.Stop();
  BeginHeartbeat(agreed.heartbeat, agreed.heartbeat_misses);
  host_.Authenticate(*this, facts_->token, [link = link_](absl::StatusOr<std::string> identity) {
    if (link->loop().InLoop()) {
      link->loop().AssertInLoop();
      Judge(*link, std::move(identity));
      return;
    }
    link->loop().Post([link, identity = std::move(identity)](TaskFate fate) mutable {
      if (fate == TaskFate::kCancelled) return;
      link->loop().AssertInLoop();
      Judge(*link, std::move(identity));
    });
  });
}

void NativeSession::BeginHeartbeat(Nanos agreed, int misses) {
  Nanos interval = agreed;
  if (max_heartbeat_ > Nanos::zero()) {
    interval = agreed > Nanos::zero() ? std::min(agreed, max_heartbeat_) : max_heartbeat_;
  }
  if (interval == Nanos::zero()) return;
  heartbeat_.Begin(interval, misses);
  timer_.StartAfter(interval);
  // The system below gives a peer up no earlier than the heartbeat does.
  if (interval > ToNanos(limits().heartbeat_interval)) {
    link_->frames().output().transport().SetLostAfter(interval * (misses + 1));
  }
}

// A verdict may come when the session has ended.
void NativeSession::Judge(NativeLink& link, absl::StatusOr<std::string> identity) {
  if (link.session() != nullptr) link.session()->TakeVerdict(std::move(identity));
}

// The Hello, and what comes behind it before the verdict: one frame; 0 when more bytes are needed.
size_t NativeSession::TakeEarly(const char* data, size_t size, InputNeed* need) {
  FrameHeader header;
  if (!TakeHeader(data, size, &header, need)) return 0;
  if (phase_ == Phase::kHello && header.type != FrameType::kHello) {
    Fail(CloseReason::kBadFrame, "a frame before its Hello");
    return 0;
  }
  const size_t whole = kHeaderSize + header.length;
  if (size < whole) {
    need->frame = RoomOfHalf(whole, size);
    return 0;
  }
  if (header.type == FrameType::kHello) {
    TakeHello(std::string_view(data + kHeaderSize, header.length));
    return whole;
  }
  if (header.type == FrameType::kPing) {
    TakePing(header);
    return whole;
  }
  // What is held is no stranger's to know, nor what may be.
  if (const absl::Status s = Hold(std::string_view(data, whole)); !s.ok()) {
    Close(CloseReason::kInputFull, Errors::Closed(peer(), std::string(s.message())));
    return 0;
  }
  if (held_->full()) connection_.HoldReads(true);
  return whole;
}

absl::Status NativeSession::Hold(std::string_view frame) {
  const size_t cost = frame.size() + HeldFrames::kCost;
  if (absl::Status s = link_->frames().input().TryAdd(cost); !s.ok()) return s;
  if (held_ == nullptr) held_ = std::make_unique<HeldFrames>();
  if (held_->Keep(frame, loop_.now())) return absl::OkStatus();
  link_->frames().input().Remove(cost);
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", frame.size(), " bytes of input"));
}

void NativeSession::TakeVerdict(absl::StatusOr<std::string> identity) {
  if (phase_ != Phase::kVerdict) return;
  const std::unique_ptr<HeldFrames> held = std::move(held_);
  if (held != nullptr) link_->frames().input().Remove(held->bytes());  // gone when this is over
  if (!identity.ok()) {
    RefusePeer(identity.status(), held.get());
    return;
  }
  const std::unique_ptr<const HelloFacts> facts = std::move(facts_);
  ConnectedPeer who{peer(),
                    *identity,
                    facts->node,
                    facts->cluster,
                    facts->incarnation,
                    "native",
                    link_->frames().agreement().version};
  const absl::Status welcome = host_.OnIdentified(*this, who);
  if (phase_ != Phase::kVerdict) return;  // the host has closed it
  if (!welcome.ok()) {
    RefusePeer(welcome, held.get());
    return;
  }
  phase_ = Phase::kUp;
  link_->frames().input().SetKnown();
  link_->Open(std::move(who));
  // A peer that sends calls and does not read their answers is not read either, unless we wait for
  // its answers: two such sides would wait for each other.
  if (!dialer_) {
    const size_t most = limits().max_output_bytes > 0
                            ? limits().max_output_bytes
                            : std::min(limits().MaxOutput(), kMaxForPause);
    connection_.PauseReadsAbove(most / 16, most / 4);
  }
  host_.OnUp(*this);
  if (held != nullptr) ServeHeld(*held);
}

// What came before the verdict, as if it came now, but that its time has run since. Whole frames,
// so nothing is left over.
void NativeSession::ServeHeld(const HeldFrames& held) {
  for (const HeldFrames::Frame& frame : held.frames()) {
    input_ = &frame.block;
    held_for_ = loop_.now() - frame.came;
    InputNeed need;
    (void)TakeBytes(frame.block, frame.block->data(), frame.size, &need);
    CompleteReplies();
    if (phase_ != Phase::kUp) break;
  }
  input_ = nullptr;
  held_for_ = Nanos::zero();
  if (phase_ == Phase::kUp) connection_.HoldReads(false);
}

// Its calls are told so, then the peer, then the connection ends. One that still sends is read for
// a moment longer: to close before would reset the connection, and take the last words with it.
void NativeSession::RefusePeer(const absl::Status& why, const HeldFrames* held) {
  const absl::Status told(why.code(), why.message().substr(0, kMaxReasonBytes));
  if (held != nullptr) {
    size_t refusals = 0;
    for (const HeldFrames::Frame& frame : held->frames()) {
      const FrameHeader header = ReadHeader(frame.block->data());
      if (header.type != FrameType::kRequest || ++refusals > kMaxRefusals) continue;
      link_->frames().SendError(header.id, told, /*not_executed=*/true);
    }
  }
  GoAway(told);
  const absl::Status reason =
      Errors::Closed(peer(), absl::StrCat("not authenticated: ", why.message()));
  if (held == nullptr || !held->full()) {
    CloseWhenWritten(CloseReason::kUnauthenticated, reason, kLastWords);
    return;
  }
  refused_ = std::make_unique<const absl::Status>(reason);
  if (!std::exchange(reason_set_, true)) reason_ = CloseReason::kUnauthenticated;
  phase_ = Phase::kEnding;
  link_->StopStarting();
  timer_.StartAfter(kRefusalLinger);
  connection_.HoldReads(false);
}

// What a connection gone quiet does not need.
void NativeSession::Trim() {
  link_->Trim();
  inbound_.Trim();
  // `= {}` would keep the memory.
  if (replies_.empty()) std::vector<ReadyReply>().swap(replies_);
  std::vector<ReadyReply>().swap(spare_replies_);
}

bool NativeSession::GiveBack(MonoTime) {
  const uint64_t read = connection_.bytes_read();
  const bool quiet = read - std::exchange(read_at_look_, read) <= 2 * kHeaderSize;
  if (quiet && !trimmed_) Trim();
  trimmed_ = quiet;
  return false;
}

// Asks the peer for a sign of life, or gives it up.
void NativeSession::LookForLife() {
  if (phase_ >= Phase::kEnding) return;
  // Nothing but heartbeats since the last look: the connection is quiet.
  const uint64_t read = connection_.bytes_read();
  if (read - std::exchange(read_before_, read) <= 2 * kHeaderSize) Trim();
  if (phase_ == Phase::kVerdict && connection_.paused()) {
    // It is this side that does not read: the peer is not silent, and must not think so of us.
    timer_.StartAfter(heartbeat_.interval());
    link_->frames().SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
    return;
  }
  Heartbeat::Signs signs;
  signs.now = loop_.clock().Now();
  signs.last_read = connection_.last_read();
  {
    MutexLock lock(link_->frames().output().mutex());
    signs.appended = link_->frames().output().appended();
  }
  signs.taken = link_->frames().output().Acknowledged();
  signs.paused = connection_.paused();
  const Heartbeat::Verdict verdict = heartbeat_.Look(signs);
  if (verdict.act == Heartbeat::Verdict::Act::kEnd) {
    Close(CloseReason::kSilent,
          absl::UnavailableError(
              absl::StrCat("connection with ", peer(), " lost: silent for ",
                           absl::FormatDuration(ToAbsl(verdict.silent_for)),
                           heartbeat_.interval() == max_heartbeat_ ? " (max_heartbeat_interval "
                                                                   : " (heartbeat_interval ",
                           absl::FormatDuration(ToAbsl(heartbeat_.interval())), ")")));
    return;
  }
  timer_.StartAfter(verdict.next_look);
  if (verdict.act == Heartbeat::Verdict::Act::kPing) {
    link_->frames().SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
    if (phase_ >= Phase::kEnding) return;  // the write found the connection broken
  }
  if (verdict.became_suspect || verdict.no_longer_suspect) {
    host_.OnSuspect(*this, verdict.became_suspect);
  }
}

}  // namespace weft::native
