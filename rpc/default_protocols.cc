// The one file that names the protocols.
#include "weft/rpc/default_protocols.h"

#include "weft/rpc/protocol/native/native_protocol.h"

namespace weft::internal {
namespace {

constexpr Protocol kProtocols[] = {native::kNativeProtocol};

}  // namespace

std::span<const Protocol> DefaultProtocols() { return kProtocols; }

}  // namespace weft::internal
