// The native protocol on one connection, the same on both ends. docs/native_protocol.md draws its
// bytes.
//
//   kOpening ──► kHello ──► kVerdict ──► kUp ──► kEnding ──► kEnded
//
// The dialer sends preface and Hello at once, the other side when it has read the dialer's Hello.
// Frames may follow the peer's Hello at once. Until this side's authenticator has spoken they are
// kept and not looked at, up to HeldFrames::kMaxBytes; then no more is read. So nothing is said to
// a peer before it is known, and its calls keep their order.
//
// Threads  loop-only; other threads hold the NativeLink
// Owns     its connection, the numbers of the peer's methods, unfinished messages
// Errors   what breaks framing closes the connection with a CloseReason; what concerns one call
//          answers it
// Ends     SessionHost::OnEnded exactly once; before it every call of this side has been completed
//          and every call of the peer marked as cancelled
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/connection.h"
#include "weft/core/loop_group.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/go_away_steps.h"
#include "weft/rpc/protocol/native/heartbeat.h"
#include "weft/rpc/protocol/native/held_frames.h"
#include "weft/rpc/protocol/native/native_link.h"
#include "weft/rpc/protocol/native/reassembler.h"
#include "weft/rpc/protocol/native/unknown_methods.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::native {

struct NativeSessionOptions {
  bool dialer = false;
  // What this side says of itself; of an acceptor its host says it (SessionHost::OnHello).
  HelloFacts own;
  Compression compression = Compression::kNone;  // of replies
  // Shared by the sessions of a side; not null.
  std::shared_ptr<const SessionLimits> limits;
  // Likewise; null: one of its own.
  std::shared_ptr<InflateGate> gate = nullptr;
  // For the handshake, where less is left than limits say.
  absl::Duration handshake_timeout = absl::InfiniteDuration();
  // The peer is asked for life at least so often, whatever it wishes; zero: as both agree.
  Nanos max_heartbeat = Nanos::zero();
  // What its input is counted against besides the runtime's budget.
  InputBudgets input;
};

class NativeSession final : public Session,
                            private ConnectionOwner,
                            public DeadlineTarget,
                            private Trimmable {
 public:
  // Of a refused peer's calls so many are answered by themselves; GOAWAY says the same of all.
  static constexpr size_t kMaxRefusals = 1000;

  // `sink` takes the peer's calls; null: every one is answered UNIMPLEMENTED. All outlive the
  // session.
  NativeSession(IoThread& io, SessionHost& host, InboundSink* sink, std::shared_ptr<CallPool> pool,
                std::unique_ptr<Transport> transport, std::string peer,
                NativeSessionOptions options);
  ~NativeSession() override;

  absl::Status Start(SessionStart start = {}) LOOP_ONLY override;
  void GoAway(const absl::Status& why) LOOP_ONLY override;
  void CloseWhenWritten(CloseReason reason, const absl::Status& why,
                        Nanos limit) LOOP_ONLY override;
  void Close(CloseReason reason, const absl::Status& why) LOOP_ONLY override;
  void CancelInbound() LOOP_ONLY override;
  size_t inbound_calls() const LOOP_ONLY override { return inbound_.size(); }
  const std::string& peer() const override { return link_->peer(); }
  const TransportIdentity& peer_identity() const override { return link_->peer_identity(); }
  const SessionLimits& limits() const { return link_->limits(); }
  std::shared_ptr<ConnectionGauge> gauge() const override { return link_; }

  std::shared_ptr<CallLink> link() const override { return link_; }
  const std::shared_ptr<NativeLink>& native_link() const { return link_; }

  // ---- from the link, on the loop
  void OnCallReturned(InboundCall& call) LOOP_ONLY;
  void CancelOutbound(uint64_t id) LOOP_ONLY;
  void WatchInboundDeadline(uint64_t id) LOOP_ONLY;
  void LookForDeadlines() LOOP_ONLY;
  void OnCallDeadline(OutboundCall& call) override;

 private:
  enum class Phase : uint8_t { kOpening, kHello, kVerdict, kUp, kEnding, kEnded };
  // kAnnounced: it has sent a GOAWAY. kNamed: also one with the last call that it took.
  enum class PeerLeaves : uint8_t { kNo, kAnnounced, kNamed };
  // Of each side's.
  struct Hellos {
    bool sent = false;
    bool taken = false;
  };
  struct ReadyReply {
    explicit ReadyReply(const FrameHeader& of) : header(of) {}
    FrameHeader header;
    ResponseFrame frame;
  };

  // ConnectionOwner
  void OnDirect(size_t direct) override;
  size_t OnBytes(const BlockRef& block, const char* data, size_t size, InputNeed* need) override;
  void OnReadEnd() override;
  void OnClosed(const absl::Status& reason, size_t pending) override;
  // Trimmable: when nothing but heartbeats came since the last look.
  bool GiveBack(MonoTime now) LOOP_ONLY override;

  // Opening (native_session_opening.cc).
  size_t TakePreface(const char* data, size_t size) LOOP_ONLY;
  void SendHello(const HelloFacts& own) LOOP_ONLY;
  void TakeHello(std::string_view body) LOOP_ONLY;
  void TakeVerdict(absl::StatusOr<std::string> identity) LOOP_ONLY;
  static void Judge(NativeLink& link, absl::StatusOr<std::string> identity) LOOP_ONLY;
  size_t TakeEarly(const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  absl::Status Hold(std::string_view frame) LOOP_ONLY;
  void ServeHeld(const HeldFrames& held) LOOP_ONLY;
  void RefusePeer(const absl::Status& why, const HeldFrames* held) LOOP_ONLY;
  void BeginHeartbeat(Nanos agreed, int misses) LOOP_ONLY;
  void LookForLife() LOOP_ONLY;
  void Trim() LOOP_ONLY;

  // Frames (native_session.cc).
  size_t TakeBytes(const BlockRef& block, const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  // Room for a frame of `whole` bytes of which `size` have come: all of it where it is as long as
  // most are and its sender is known; else it grows with what comes.
  size_t RoomOfHalf(size_t whole, size_t size) const LOOP_ONLY;
  bool TakeHeader(const char* data, size_t size, FrameHeader* header, InputNeed* need) LOOP_ONLY;
  size_t TakeFrame(const BlockRef& block, const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  void TakeWholeFrame(const BlockRef& block, const FrameHeader& header,
                      std::string_view body) LOOP_ONLY;
  void TakePing(const FrameHeader& header) LOOP_ONLY;
  size_t BeginData(const FrameHeader& header) LOOP_ONLY;
  size_t TakeData(const char* data, size_t size) LOOP_ONLY;
  void WantDirect(InputNeed* need) LOOP_ONLY;
  void EndDataFrame() LOOP_ONLY;
  // Unfinished messages (native_session_unfinished.cc).
  void DropAssembly(uint64_t id, bool reply) LOOP_ONLY;
  void EndUnfinished(uint64_t id, bool reply, const absl::Status& why) LOOP_ONLY;
  void WatchForLate(MonoTime deadline) LOOP_ONLY;
  void EndLate() LOOP_ONLY;
  // Streams (native_session_streams.cc).
  void TakeStreamMessage(const BlockRef& block, const FrameHeader& header,
                         std::string_view body) LOOP_ONLY;
  void TakeWindow(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  std::shared_ptr<StreamPort> FindStream(const FrameHeader& header, bool* wrong) LOOP_ONLY;
  void DeliverToStream(StreamPort& port, ReceivedMessage message, bool last) LOOP_ONLY;
  void EndStreamCall(const FrameHeader& header, const absl::Status& why) LOOP_ONLY;
  void GiveUp(uint64_t id, const absl::Status& why) LOOP_ONLY;
  void OpenStream(InboundCall& call) LOOP_ONLY;
  void TakeCancel(uint64_t id) LOOP_ONLY;
  // Where one side takes no more calls: tells the host when none is under way.
  void TellIfIdle() LOOP_ONLY;
  void TakeGoAway(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  // From here on no more calls are taken, and the peer hears which one was the last, unless it has.
  // `last`: nothing follows it.
  void NameLastCall(const absl::Status& why, bool last) LOOP_ONLY;
  void Fail(CloseReason reason, std::string_view what) LOOP_ONLY;
  void FailFrame(FrameError error, const FrameHeader& header) LOOP_ONLY;

  // Calls of the peer and replies to ours (native_session_calls.cc).
  void TakeRequest(const BlockRef& block, const FrameHeader& header,
                   std::string_view body) LOOP_ONLY;
  const BoundMethod* BoundAlready(const FrameHeader& header,
                                  const RequestFrame& frame) const LOOP_ONLY;
  const BoundMethod* Admit(const FrameHeader& header, const RequestFrame& frame) LOOP_ONLY;
  absl::Status AdmitRequest(const RequestFrame& frame, uint64_t id) LOOP_ONLY;
  // Why the message of a frame must not be inflated here, or OK.
  absl::Status CheckCompressed(const Payload& payload) const LOOP_ONLY {
    return payload.codec == 0 ? absl::OkStatus() : CheckInflating(payload);
  }
  absl::Status CheckInflating(const Payload& payload) const LOOP_ONLY;
  bool BindName(uint16_t number, std::string_view name, const BoundMethod** bound,
                std::string* unknown) LOOP_ONLY;
  absl::Status SetMethod(uint16_t number, const BoundMethod* bound,
                         std::string_view name) LOOP_ONLY;
  void TakeResponse(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  void TakeHeaders(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  bool MayEndNow(const FrameHeader& header) LOOP_ONLY;
  void CompleteReplies() LOOP_ONLY;
  void CompleteReply(OutboundCall* call, const FrameHeader& header,
                     const ResponseFrame& frame) LOOP_ONLY;
  void CompleteSlowReply(OutboundCall& call, const FrameHeader& header,
                         const ResponseFrame& frame) LOOP_ONLY;
  void EndCall(OutboundCall& call, absl::StatusCode code, std::string_view why,
               bool may_have_been_executed) LOOP_ONLY;
  void EndExpired(OutboundCall& call) LOOP_ONLY;
  void EndAllCalls(const absl::Status& reason) LOOP_ONLY;

  // Fixed at construction.
  EventLoop& loop_;
  DeadlineWheel& wheel_;
  SessionHost& host_;
  InboundSink* const sink_;
  const std::shared_ptr<CallPool> pool_;
  const bool dialer_;
  const Nanos max_heartbeat_;
  const Compression compression_;
  const Nanos handshake_limit_;
  const size_t max_frame_;
  const std::shared_ptr<NativeLink> link_;

  // The loop's own.
  // A dialer's own until they are sent; then the peer's until the verdict.
  std::unique_ptr<const HelloFacts> facts_ LOOP_OWNED;
  Connection connection_ LOOP_OWNED;
  Phase phase_ LOOP_OWNED = Phase::kOpening;
  Hellos hellos_ LOOP_OWNED;
  CloseReason reason_ LOOP_OWNED = CloseReason::kPeerClosed;  // until something sets another
  bool reason_set_ LOOP_OWNED = false;
  Timer timer_ LOOP_OWNED;  // until Hello has come: the time for it; then the heartbeat
  Timer look_timer_ LOOP_OWNED;
  Heartbeat heartbeat_ LOOP_OWNED;
  uint64_t read_before_ LOOP_OWNED = 0;  // bytes, at the last look for life
  PeerLeaves peer_leaves_ LOOP_OWNED = PeerLeaves::kNo;
  bool trimmed_ LOOP_OWNED = false;       // and there was no traffic since
  uint64_t read_at_look_ LOOP_OWNED = 0;  // bytes, when it was last asked to give back

  // The peer's calls.
  uint64_t last_inbound_ LOOP_OWNED = 0;
  GoAwaySteps go_away_ LOOP_OWNED;  // of this side
  IdTable<InboundCall> inbound_ LOOP_OWNED;
  uint64_t taken_ LOOP_OWNED = 0;                               // calls that were ever in it
  std::vector<const BoundMethod*> methods_ LOOP_OWNED;          // by number; null: unknown
  std::unique_ptr<UnknownMethods> unknown_methods_ LOOP_OWNED;  // with the first one

  // Until the verdict.
  std::unique_ptr<HeldFrames> held_ LOOP_OWNED;  // with the first one
  Nanos held_for_ LOOP_OWNED{};                  // how long ago came what is being read
  std::unique_ptr<const absl::Status> refused_
      LOOP_OWNED;  // why, while the rest is read for nobody

  // Input under way.
  std::vector<ReadyReply> replies_ LOOP_OWNED;
  std::vector<ReadyReply> spare_replies_ LOOP_OWNED;  // empty; keeps its memory
  Reassembler assembly_ LOOP_OWNED;
  std::unique_ptr<Timer> late_timer_ LOOP_OWNED;  // with the first unfinished message
  const BlockRef* input_ LOOP_OWNED = nullptr;    // what OnBytes looks through, while it does
  FrameHeader data_header_ LOOP_OWNED;
  bool late_piece_ LOOP_OWNED = false;  // its reply's call has ended while it was being read
  size_t data_left_ LOOP_OWNED = 0;     // bytes of the DATA frame that is being read
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_
