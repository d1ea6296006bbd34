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
// The session has these parts, and what they share (SessionShared). It is where they end it: Fail.
//
// Threads  loop-only; other threads hold the NativeLink
// Owns     its connection and its parts
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

class NativeSession final : public Session, private ConnectionOwner, private SessionFaults {
 public:
  // `sink` takes the peer's calls; null: every one is answered UNIMPLEMENTED. All outlive the
  // session.
  NativeSession(IoThread& io, SessionHost& host, InboundSink* sink, std::shared_ptr<CallPool> pool,
                std::unique_ptr<Transport> transport, std::string peer,
                NativeSessionOptions options);
  ~NativeSession() override;

  absl::Status Start(SessionStart start = {}) LOOP_ONLY override;
  void GoAway(const absl::Status& why) LOOP_ONLY override { leaving_.Announce(why); }
  void CloseWhenWritten(CloseReason reason, const absl::Status& why,
                        Nanos limit) LOOP_ONLY override;
  void Close(CloseReason reason, const absl::Status& why) LOOP_ONLY override;
  void CancelInbound() LOOP_ONLY override { inbound_.CancelAll(); }
  size_t inbound_calls() const LOOP_ONLY override { return inbound_.size(); }
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
  void Fail(CloseReason reason, std::string_view what) LOOP_ONLY override;
  void FailFrame(FrameError error, const FrameHeader& header) LOOP_ONLY override;

  size_t TakeOpening(const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  absl::Status WhyClosed(const absl::Status& reason, size_t pending) LOOP_ONLY;

  SessionShared shared_;
  Connection connection_ LOOP_OWNED;
  Timer timer_ LOOP_OWNED;  // until Hello has come: the time for it; then the heartbeat

  // Parts. Each refers to those that it uses, so their order is of no meaning.
  HandshakePhase handshake_ LOOP_OWNED;
  FrameDemultiplexer frames_ LOOP_OWNED;
  InboundTable inbound_ LOOP_OWNED;
  ReplyReader replies_ LOOP_OWNED;
  CallEnder ender_ LOOP_OWNED;
  StreamReader streams_ LOOP_OWNED;
  UnfinishedMessages unfinished_ LOOP_OWNED;
  Leaving leaving_ LOOP_OWNED;
  QuietTrim trim_ LOOP_OWNED;
  LifeWatch life_ LOOP_OWNED;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_SESSION_H_
