// Makes connections' transports out of plain ones: TLS is one such factory. Where there is none
// (null), bytes travel as they are.
//
// Threads  any: one factory serves all connections of a server or a channel at once
// Ends     shared with its servers and channels; transports may outlive it
#ifndef WEFT_CORE_TRANSPORT_FACTORY_H_
#define WEFT_CORE_TRANSPORT_FACTORY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/match.h"
#include "weft/core/read_ahead.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"

namespace weft {

namespace internal {

// The end's role: the dialer speaks first, as TLS's client does.
enum class HandshakeRole : uint8_t { kDialer, kListener };

// The requirements on a handshake.
struct HandshakeRequest {
  HandshakeRole role = HandshakeRole::kDialer;
  // For a dialer, the host that it dials, as its address says. It is sent (SNI), and the other
  // end's names are compared with it. Empty: the address has none (unix sockets).
  std::string server_name = {};
  // The protocols that this end speaks, the preferred first.
  std::vector<std::string> alpn = {};
  // The handshake is given up then, by whoever drives it.
  MonoTime deadline = kNever;
};

}  // namespace internal

class WEFT_ANY_THREAD TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  // A transport that travels over `below` and has its handshake before it: nothing is read or
  // written here. `first_bytes` were read from `below` already. Never null: an error is for
  // Transport::Handshake to tell.
  virtual std::unique_ptr<internal::Transport> Wrap(std::unique_ptr<internal::Transport> below,
                                                    internal::ReadAhead first_bytes,
                                                    const internal::HandshakeRequest& request) = 0;
  // Tells a dialer's first bytes from those of other transports and of plain protocols, for ports
  // where the transport is optional. Null: nothing tells them apart.
  virtual internal::Matcher matcher() const { return nullptr; }
};

}  // namespace weft

#endif  // WEFT_CORE_TRANSPORT_FACTORY_H_
