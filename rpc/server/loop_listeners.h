// One loop's part of each listener of a server: the connections whose protocol is not known yet,
// and the services that are offered there. A part is made with the listener's first connection.
//
// A member of ServerLoop.
//
// Threads  loop-only
// Owns     those connections, until their protocol is known; refers to the listeners, which outlive
//          it
// Errors   `failed` of the constructor: why a connection came to nothing
// Ends     Drop ends the connections, and tells of each
#ifndef WEFT_RPC_SERVER_LOOP_LISTENERS_H_
#define WEFT_RPC_SERVER_LOOP_LISTENERS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/core/loop_group.h"
#include "weft/core/transport.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/server/incoming_connections.h"
#include "weft/rpc/server/limited_sink.h"
#include "weft/rpc/server/listener.h"

namespace weft::internal {

class LoopListeners {
 public:
  // A connection has shown its protocol. `sink`: where the calls of its listener go.
  using Known = std::function<void(const Listener& listener, InboundSink& sink, uint64_t id,
                                   const Protocol& protocol, SessionSeed seed, SessionStart start)>;

  // `sink` takes calls of all services, and outlives this.
  LoopListeners(IoThread& io, Nanos handshake_timeout, InboundSink& sink, Known known,
                IncomingConnections::Failed failed);

  // False: there is no memory for one more from there.
  [[nodiscard]] bool MakeRoom(const Listener& listener) WEFT_LOOP_ONLY;
  void Add(const Listener& listener, uint64_t id, std::unique_ptr<Transport> transport,
           std::string peer) WEFT_LOOP_ONLY;
  void Drop(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // Drops the connection of this number, if it is here.
  void DropOne(uint64_t id, CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // The number of connections of all listeners.
  size_t connections() const WEFT_LOOP_ONLY;

 private:
  struct Part {
    const Listener* listener;
    std::unique_ptr<IncomingConnections> incoming;
    std::unique_ptr<LimitedSink> limited;  // null: it offers everything
  };

  Part& PartOf(const Listener& listener) WEFT_LOOP_ONLY;

  IoThread& io_;
  const Nanos handshake_timeout_;
  InboundSink& sink_;
  const Known known_;
  const IncomingConnections::Failed failed_;
  std::vector<Part> parts_ WEFT_LOOP_OWNED;  // a few, in the order of their first connections
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_LOOP_LISTENERS_H_
