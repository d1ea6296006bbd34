// The rules of one of a server's listeners, shared by all loops to which its connections are dealt.
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

namespace weft::internal {

struct Listener {
  // `authentications`: the server's own queue, null where it has none. `places`: of all its queues.
  static absl::StatusOr<std::unique_ptr<const Listener>> Make(
      ListenerOptions options, const ServerOptions& server, const Dispatcher& dispatcher,
      std::shared_ptr<AuthenticationQueue> authentications,
      std::shared_ptr<AuthenticationPlaces> places, const Runtime& runtime, const Log& log);

  std::vector<Protocol> protocols;  // not empty
  // Null: bytes travel as they are.
  std::shared_ptr<TransportFactory> transport;
  // Clients may also connect without the transport's handshake.
  bool transport_optional = false;
  // Null: everybody may talk.
  std::shared_ptr<AuthenticationQueue> authentications;
  // The authenticator is asked for each call, too. Only with an authenticator.
  bool authenticate_calls = false;
  // Full names of the offered services; empty: all that the server has.
  absl::flat_hash_set<std::string> services;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_LISTENER_H_
