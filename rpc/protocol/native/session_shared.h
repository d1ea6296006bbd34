// The members that all parts of one native session share: its loop, host and link, its phase, and
// the two ways in which a part ends it.
//
// Threads  the session's loop
// Owns     a share of the link; the phase
// Ends     with its session, which has it and all parts
#ifndef WEFT_RPC_PROTOCOL_NATIVE_SESSION_SHARED_H_
#define WEFT_RPC_PROTOCOL_NATIVE_SESSION_SHARED_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/deadline_wheel.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/native_link.h"
#include "weft/rpc/protocol/native/session_parts.h"
#include "weft/rpc/protocol/native/session_phase.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal::native {

// Ends the session for a fault of its peer.
class SessionFaults {
 public:
  // The peer broke the protocol: tells it, and ends the connection.
  virtual void Fail(CloseReason reason, std::string_view what) WEFT_LOOP_ONLY = 0;
  // The same for a frame with this header.
  virtual void FailFrame(FrameError error, const FrameHeader& header) WEFT_LOOP_ONLY = 0;

 protected:
  ~SessionFaults() = default;
};

struct SessionShared {
  EventLoop& loop;
  DeadlineWheel& wheel;
  Session& session;
  SessionHost& host;
  SessionFaults& faults;
  InboundSink* const sink;  // null: no call of the peer is served
  CallPool* const pool;     // null where sink is; the link keeps it
  const std::shared_ptr<NativeLink> link;
  const SessionParts parts;
  SessionPhase phase{};

  const SessionLimits& limits() const { return link->limits(); }
  const std::string& peer() const { return link->peer(); }
  FrameOutput& frames() const { return link->frames(); }
  // Returns why the frame's message must not be inflated here, or OK.
  absl::Status CheckCompressed(const Payload& payload) const {
    if (payload.codec == 0) return absl::OkStatus();
    return link->streams().gate().Check(static_cast<Compression>(payload.codec),
                                        payload.message_size(), payload.inflated_size);
  }
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_SESSION_SHARED_H_
