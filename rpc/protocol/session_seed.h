// The parts of a new session: its connection (SessionSeed) and its surroundings (SessionContext).
//
// Threads  value; made and used on the connection's loop
// Owns     SessionSeed: the transport
#ifndef WEFT_RPC_PROTOCOL_SESSION_SEED_H_
#define WEFT_RPC_PROTOCOL_SESSION_SEED_H_

#include <memory>
#include <string>

#include "weft/core/clock.h"
#include "weft/core/loop_group.h"
#include "weft/core/transport.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/session_config.h"
#include "weft/rpc/protocol/session_host.h"

namespace weft::internal {

struct SessionSeed {
  std::unique_ptr<Transport> transport;
  // The peer's address, or a name if it has none.
  std::string peer;
  // The time of accepting, or of the beginning of the dial.
  MonoTime began{};
  // The rest of the handshake's time.
  Nanos handshake_left = Nanos::max();
  // A dialer's own Hello.
  HelloFacts own;
};

// All of it outlives the session.
struct SessionContext {
  IoThread& io;
  SessionHost& host;
  // Takes the peer's calls; null: each is answered UNIMPLEMENTED.
  InboundSink* sink = nullptr;
  std::shared_ptr<CallPool> pool;  // pool of those calls; null if sink is null
  std::shared_ptr<const SessionConfig> config;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_SESSION_SEED_H_
