// One protocol's state on one connection, the same on both ends: nothing in it tells client from
// server. A protocol's row makes it; a SessionTable holds it.
//
// Threads  loop-only
// Owns     its connection
// Ends     SessionHost::OnEnded runs exactly once, perhaps inside any call to the session or its
//          link, or inside a callback. The host destroys the session in a later turn; until then
//          its methods do nothing
#ifndef WEFT_RPC_PROTOCOL_SESSION_H_
#define WEFT_RPC_PROTOCOL_SESSION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/read_ahead.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport_identity.h"
#include "weft/core/watch.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/connection_info.h"

namespace weft::internal {

struct CallingWay;

// For CloseWhenWritten: how long a peer that does not read may delay the end of its connection.
// Long enough for a goaway and the last replies in a busy network; nobody waits for it.
inline constexpr Nanos kLastWords = std::chrono::seconds(1);

// The state of a connection whose first bytes were read already, to find out its protocol.
struct SessionStart {
  std::unique_ptr<Watch> watch;  // the transport's; null: the session makes one
  ReadAhead first_bytes;
};

// How long a host waits for OnGoAwayConfirmed: a second for a peer that sends calls until it hears
// of the end, and some more for a healthy network.
inline constexpr Nanos kGoAwayConfirm = std::chrono::milliseconds(1200);

class Session {
 public:
  virtual ~Session() = default;
  // Begins to read. A dialing session also sends the protocol's first bytes.
  virtual absl::Status Start(SessionStart start = {}) WEFT_LOOP_ONLY = 0;
  // The link for this side's calls, usable after SessionHost::OnUp. Null: the protocol carries
  // calls in one direction, from the peer.
  virtual std::shared_ptr<CallLink> link() const = 0;
  // True if the peer answers GoAway, so that OnGoAwayConfirmed follows.
  virtual bool confirms_going_away() const { return true; }
  // Asks the peer to send no more calls. Calls sent before it hears of this are still served, as
  // far as the protocol can tell them; others are refused as not executed.
  virtual void GoAway(const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // Ends the session when everything written has left, or after `limit`. Without calls under way
  // it also waits until the peer has received what was written: nobody waits for its end then.
  virtual void CloseWhenWritten(CloseReason reason, const absl::Status& why,
                                Nanos limit) WEFT_LOOP_ONLY = 0;
  // Ends the session now; calls under way complete with `why`.
  virtual void Close(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY = 0;
  // Lets this side stop reading while much of its output waits. By default the accepting side may.
  // Never both sides: each would wait for the other for ever. From SessionHost::OnIdentified on; a
  // protocol without this choice ignores it.
  virtual void SetMayPause(bool may) WEFT_LOOP_ONLY { (void)may; }
  // The peer is a node, and `way` orders its calls (CallOrigin::way). Called in OnIdentified; a
  // protocol that orders calls only within a connection ignores it.
  virtual void SetWay(std::shared_ptr<const CallingWay> way) WEFT_LOOP_ONLY { (void)way; }
  // Marks the peer's calls under way as cancelled.
  virtual void CancelInbound() WEFT_LOOP_ONLY = 0;
  // Asks the peer for a sign of life. `alive` runs once, on the loop, when the peer answers this or
  // a later question; never if it does not answer or the session has ended. Between OnUp and the
  // end. A protocol without such a question never runs it.
  virtual void Probe(std::function<void()> alive) WEFT_LOOP_ONLY { (void)alive; }
  // Calls from the peer without an answer, or whose answer is not queued yet.
  virtual size_t inbound_calls() const WEFT_LOOP_ONLY = 0;
  virtual const std::string& peer() const = 0;
  // The peer's identity as verified by the transport.
  virtual const TransportIdentity& peer_identity() const { return TransportIdentity::None(); }
  // Counters for any thread; outlive the session.
  virtual std::shared_ptr<ConnectionGauge> gauge() const = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SESSION_H_
