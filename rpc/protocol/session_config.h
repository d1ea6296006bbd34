// Settings common to all sessions of a server or channel.
//
// Threads  value; constant once a session has it
#ifndef WEFT_RPC_PROTOCOL_SESSION_CONFIG_H_
#define WEFT_RPC_PROTOCOL_SESSION_CONFIG_H_

#include <memory>

#include "weft/core/clock.h"
#include "weft/core/input_account.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal {

struct SessionConfig {
  std::shared_ptr<const SessionLimits> limits;  // not null
  std::shared_ptr<InflateGate> gate;            // not null
  // Default codec of replies.
  Compression compression = Compression::kNone;
  // Longest interval between questions for life, whatever the peer wishes; zero: as both agree.
  Nanos max_heartbeat = Nanos::zero();
  // True: an accepting session tells nothing about itself to a peer that may still be refused. Its
  // Hello follows the verdict, filled in by SessionHost::OnIdentified; the verdict must come within
  // the handshake's time. False: it answers the peer's Hello at once.
  bool hello_after_verdict = false;
  // True for connections between nodes of a cluster. Each side tells the other its clock
  // (PeerTiming); only the dialer asks for signs of life, which serves both; and little output
  // waits in the system below, so that urgent output can overtake the rest.
  bool pair = false;
  // Budgets for the sessions' input, besides the runtime's.
  InputBudgets input;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SESSION_CONFIG_H_
