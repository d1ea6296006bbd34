// What a session is made of: its connection (SessionSeed), and what it finds around it
// (SessionContext).
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

namespace weft {

struct SessionSeed {
  std::unique_ptr<Transport> transport;
  // Its address, or a name where it has none.
  std::string peer;
  // When it was accepted, or its dialling began.
  MonoTime began{};
  // What is left of the time for the handshake.
  Nanos handshake_left = Nanos::max();
  // A dialer's: what it says of itself.
  HelloFacts own;
};

// All of it outlives the session.
struct SessionContext {
  IoThread& io;
  SessionHost& host;
  // Takes the peer's calls; null: each is answered UNIMPLEMENTED.
  InboundSink* sink = nullptr;
  std::shared_ptr<CallPool> pool;  // of those calls; null where sink is
  std::shared_ptr<const SessionConfig> config;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_SEED_H_
