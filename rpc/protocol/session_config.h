// What all sessions of a server or of a channel have in common.
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

namespace weft {

struct SessionConfig {
  std::shared_ptr<const SessionLimits> limits;  // not null
  std::shared_ptr<InflateGate> gate;            // not null
  // Of replies.
  Compression compression = Compression::kNone;
  // The peer is asked for life at least so often, whatever it wishes; zero: as both agree.
  Nanos max_heartbeat = Nanos::zero();
  // What the sessions' input is counted against besides the runtime's budget.
  InputBudgets input;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_CONFIG_H_
