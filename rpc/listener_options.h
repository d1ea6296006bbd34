// The settings of one of a server's listeners. Every member has a default: as the server.
//
// Threads  value
#ifndef WEFT_RPC_LISTENER_OPTIONS_H_
#define WEFT_RPC_LISTENER_OPTIONS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weft/rpc/protocol/authenticator.h"
#include "weft/rpc/protocol/protocol.h"

namespace weft {

class TransportFactory;

struct ListenerOptions {
  // The protocols that it takes, as ServerOptions::protocols. Empty: the server's.
  std::vector<Protocol> protocols = {};
  // The factory that wraps its connections, as ServerOptions::transport. Not set: the server's. A
  // null pointer: bytes travel as they are.
  std::optional<std::shared_ptr<TransportFactory>> transport = std::nullopt;
  // As ServerOptions::transport_optional. Without: as the server.
  std::optional<bool> transport_optional = std::nullopt;
  // Decides who may talk here. Not set: the server's authenticator. A null one: everybody may talk.
  // An authenticator of the listener's own has threads of its own, as many as the server's has
  // (authenticator_threads); its places to wait are the server's (max_waiting_authentications).
  std::optional<Authenticator> authenticator = std::nullopt;
  // As ServerOptions::authenticate_calls. Without: as the server.
  std::optional<bool> authenticate_calls = std::nullopt;
  // Full names of the services that it offers ("demo.Greeter"), each of them registered. Empty:
  // all.
  std::vector<std::string> services = {};
};

}  // namespace weft

#endif  // WEFT_RPC_LISTENER_OPTIONS_H_
