// The identity of the other end, as a transport's handshake has verified it.
//
// Threads  value
#ifndef WEFT_CORE_TRANSPORT_IDENTITY_H_
#define WEFT_CORE_TRANSPORT_IDENTITY_H_

#include <string>
#include <string_view>
#include <vector>

#include "weft/core/requirements.h"

namespace weft {

struct TransportIdentity {
  // Names that the handshake has verified, the foremost first: of a certificate, say. Empty: the
  // other end is unknown.
  std::vector<std::string> names;
  // The protocol both ends agreed on, of HandshakeRequest::alpn. Empty: they agreed on none.
  std::string alpn;

  std::string_view first_name() const {
    return names.empty() ? std::string_view() : std::string_view(names.front());
  }
  // The identity of an end that is unknown.
  static const TransportIdentity& None();
};

}  // namespace weft

#endif  // WEFT_CORE_TRANSPORT_IDENTITY_H_
