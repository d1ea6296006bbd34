// The native protocol on one connection, the same on both ends. docs/native_protocol.md draws its
// bytes, session_phase.h its states.
//
//   bytes ─► HandshakePhase, until the peer is known ─► FrameDemultiplexer
//              ├─► InboundTable         the peer's calls
//              ├─► ReplyReader          replies to ours; CallEnder: where no reply ends them
//              ├─► StreamReader         messages of streams, credit
//              ├─► UnfinishedMessages   what comes in pieces
//              └─► Leaving              going away
//   time  ─► LifeWatch                  signs of life
//
// The session has these parts and what they share (SessionShared). The parts end it by Fail. A
// SessionTable holds it, from NativeProtocol's Accept or Dial to a turn after OnEnded.
//
// Threads  loop-only; other threads hold the NativeLink
// Owns     its connection and its parts
// Errors   broken framing closes the connection with a CloseReason; a fault of one call ends that
//          call
// Ends     SessionHost::OnEnded exactly once; before it every call of this side has completed and
//          every call of the peer was marked as cancelled
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "weft/core/connection.h"
#include "weft/core/loop_group.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/frame_demultiplexer.h"
#include "weft/rpc/protocol/native/handshake_phase.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/leaving.h"
#include "weft/rpc/protocol/native/life_watch.h"
#include "weft/rpc/protocol/native/native_link.h"
#include "weft/rpc/protocol/native/quiet_trim.h"
#include "weft/rpc/protocol/native/reply_reader.h"
#include "weft/rpc/protocol/native/session_shared.h"
#include "weft/rpc/protocol/native/stream_reader.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal::native {

struct NativeSessionOptions {
  bool dialer = false;
  // A dialer's own facts; an acceptor's come from its host (SessionHost::OnHello).
  HelloFacts own;
  Compression compression = Compression::kNone;  // of replies
  // Shared by all sessions of a server or channel; not null.
  std::shared_ptr<const SessionLimits> limits;
  // Likewise; null: the session makes one.
  std::shared_ptr<InflateGate> gate = nullptr;
  // Time left for the handshake, if less than the limits say.
  absl::Duration handshake_timeout = absl::InfiniteDuration();
  // Longest interval between questions for life, whatever the peer wishes; zero: as both agree.
  Nanos max_heartbeat = Nanos::zero();
  // As in SessionConfig.
  bool hello_after_verdict = false;
  bool pair = false;
  // Budgets for input, besides the runtime's.
  InputBudgets input;
};

class NativeSession final : public Session, private ConnectionOwner, private SessionFaults {
 public:
  // `sink` takes the peer's calls; null: each is answered UNIMPLEMENTED. All references must
  // outlive the session.
  NativeSession(IoThread& io, SessionHost& host, InboundSink* sink, std::shared_ptr<CallPool> pool,
                std::unique_ptr<Transport> transport, std::string peer,
                NativeSessionOptions options);
  ~NativeSession() override;

  absl::Status Start(SessionStart start = {}) WEFT_LOOP_ONLY override;
  void GoAway(const absl::Status& why) WEFT_LOOP_ONLY override { leaving_.Announce(why); }
  void CloseWhenWritten(CloseReason reason, const absl::Status& why,
                        Nanos limit) WEFT_LOOP_ONLY override;
  void Close(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY override;
  void Probe(std::function<void()> alive) WEFT_LOOP_ONLY override { life_.Probe(std::move(alive)); }
  void SetMayPause(bool may) WEFT_LOOP_ONLY override { handshake_.SetMayPause(may); }
  void SetWay(std::shared_ptr<const CallingWay> way) WEFT_LOOP_ONLY override {
    shared_.link->answers().way = std::move(way);
  }
  void CancelInbound() WEFT_LOOP_ONLY override { inbound_.CancelAll(); }
  size_t inbound_calls() const WEFT_LOOP_ONLY override { return inbound_.size(); }
  const std::string& peer() const override { return shared_.peer(); }
  const TransportIdentity& peer_identity() const override { return shared_.link->peer_identity(); }
  std::shared_ptr<ConnectionGauge> gauge() const override { return shared_.link; }

  std::shared_ptr<CallLink> link() const override { return shared_.link; }
  const std::shared_ptr<NativeLink>& native_link() const { return shared_.link; }

 private:
  // ConnectionOwner
  void OnDirect(size_t direct) override;
  size_t OnBytes(const BlockRef& block, const char* data, size_t size, InputNeed* need) override;
  void OnReadEnd() override;
  void OnClosed(const absl::Status& reason, size_t pending) override;
  // SessionFaults
  void Fail(CloseReason reason, std::string_view what) WEFT_LOOP_ONLY override;
  void FailFrame(FrameError error, const FrameHeader& header) WEFT_LOOP_ONLY override;

  void EndWhen(Connection::Until until, CloseReason reason, const absl::Status& why,
               Nanos limit) WEFT_LOOP_ONLY;
  size_t TakeOpening(const char* data, size_t size, InputNeed* need) WEFT_LOOP_ONLY;
  absl::Status WhyClosed(const absl::Status& reason, size_t pending) WEFT_LOOP_ONLY;

  SessionShared shared_;
  Connection connection_ WEFT_LOOP_OWNED;
  Timer timer_ WEFT_LOOP_OWNED;  // for the handshake, then for the heartbeat

  // Parts. Each refers to the parts it uses; their order does not matter.
  HandshakePhase handshake_ WEFT_LOOP_OWNED;
  FrameDemultiplexer frames_ WEFT_LOOP_OWNED;
  InboundTable inbound_ WEFT_LOOP_OWNED;
  ReplyReader replies_ WEFT_LOOP_OWNED;
  CallEnder ender_ WEFT_LOOP_OWNED;
  StreamReader streams_ WEFT_LOOP_OWNED;
  UnfinishedMessages unfinished_ WEFT_LOOP_OWNED;
  Leaving leaving_ WEFT_LOOP_OWNED;
  QuietTrim trim_ WEFT_LOOP_OWNED;
  LifeWatch life_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_
