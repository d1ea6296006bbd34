// One protocol's state on one connection, the same on both ends: nothing in it says who is client.
//
// Threads  loop-only
// Owns     its connection
// Ends     SessionHost::OnEnded runs exactly once, perhaps inside any of these calls, of a call of
//          its link, or of a callback. Its host destroys it in a later turn; until then its methods
//          may be called, and do nothing
#ifndef WEFT_RPC_PROTOCOL_SESSION_H_
#define WEFT_RPC_PROTOCOL_SESSION_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
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

namespace weft {

// For CloseWhenWritten: how long a peer that does not read may hold up the end of its connection.
// Long enough for a goaway and the last replies to get through a busy network; nobody waits for it.
inline constexpr Nanos kLastWords = std::chrono::seconds(1);

// How a session begins to read where its connection has been read before: to find out its protocol.
struct SessionStart {
  std::unique_ptr<Watch> watch;  // of its transport; null: the session makes one
  ReadAhead first_bytes;
};

// How long a host waits for OnGoAwayConfirmed: a second for a peer that sends calls until it hears
// of the end, and as long as a healthy network needs behind that.
inline constexpr Nanos kGoAwayConfirm = std::chrono::milliseconds(1200);

class Session {
 public:
  virtual ~Session() = default;
  // Begins to read; sends what the protocol's dialer sends first.
  virtual absl::Status Start(SessionStart start = {}) LOOP_ONLY = 0;
  // Where this side starts calls; it may once SessionHost::OnUp has run. Null: the protocol has
  // calls in one direction only, and these are the peer's.
  virtual std::shared_ptr<CallLink> link() const = 0;
  // Whether the peer answers GoAway, so that OnGoAwayConfirmed follows.
  virtual bool confirms_going_away() const { return true; }
  // Asks the peer for no more calls. Those that it has sent, or sends before it hears of this, are
  // still served, as far as the protocol can tell them; the others are refused as not executed.
  virtual void GoAway(const absl::Status& why) LOOP_ONLY = 0;
  // Ends it when everything written has left, or after `limit`.
  virtual void CloseWhenWritten(CloseReason reason, const absl::Status& why,
                                Nanos limit) LOOP_ONLY = 0;
  // Ends it now; calls under way complete with `why`.
  virtual void Close(CloseReason reason, const absl::Status& why) LOOP_ONLY = 0;
  // Marks the peer's calls under way as cancelled.
  virtual void CancelInbound() LOOP_ONLY = 0;
  // Calls from the peer that have not been answered, or whose answer is not yet in.
  virtual size_t inbound_calls() const LOOP_ONLY = 0;
  virtual const std::string& peer() const = 0;
  // Who the peer is, as its transport has verified.
  virtual const TransportIdentity& peer_identity() const { return TransportIdentity::None(); }
  // Counts, for other threads too; outlives the session.
  virtual std::shared_ptr<ConnectionGauge> gauge() const = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_H_
