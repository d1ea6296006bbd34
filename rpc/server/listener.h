// What a server takes on one of its listeners: shared by the loops that its connections are dealt
// to.
//
// Threads  any; constant
// Owns     a share of its authenticators' queue
// Errors   Make: INVALID_ARGUMENT names what cannot be; RESOURCE_EXHAUSTED where there are no
//          threads for its authenticator
// Ends     lives as long as its server
#ifndef WEFT_RPC_SERVER_LISTENER_H_
#define WEFT_RPC_SERVER_LISTENER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "weft/core/runtime.h"
#include "weft/core/transport_factory.h"
#include "weft/rpc/listener_options.h"
#include "weft/rpc/protocol/authentication_places.h"
#include "weft/rpc/protocol/authentication_queue.h"
#include "weft/rpc/protocol/protocol.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server_options.h"

namespace weft {

struct Listener {
  // `authentications`: the server's own queue, null where it has none. `places`: of all its queues.
  static absl::StatusOr<std::unique_ptr<const Listener>> Make(
      ListenerOptions options, const ServerOptions& server, const Dispatcher& dispatcher,
      std::shared_ptr<AuthenticationQueue> authentications,
      std::shared_ptr<AuthenticationPlaces> places, const Runtime& runtime);

  std::vector<Protocol> protocols;  // not empty
  // Null: bytes travel as they are.
  std::shared_ptr<TransportFactory> transport;
  // Clients may also do without it.
  bool transport_optional = false;
  // Null: everybody may talk.
  std::shared_ptr<AuthenticationQueue> authentications;
  // Each call is asked for, too; never without a queue.
  bool authenticate_calls = false;
  // Full names; empty: all that the server has.
  absl::flat_hash_set<std::string> services;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_LISTENER_H_
