#include "weft/core/transport_identity.h"

namespace weft {

const TransportIdentity& TransportIdentity::None() {
  static const TransportIdentity* const none = new TransportIdentity;
  return *none;
}

}  // namespace weft
