// A Hello from the wire: any bytes. Agreed settings lie within the bounds of this version.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/check.h"
#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/handshake.h"

using weft::fuzz::Check;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weft::internal::native;  // NOLINT
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<PeerHello> agreement = Handshake::ReadHello(bytes, weft::SessionLimits());
  if (!agreement.ok()) {
    Check(absl::IsInvalidArgument(agreement.status()) ||
          absl::IsFailedPrecondition(agreement.status()));
    return 0;
  }
  Check(agreement->version == kWireVersion);
  Check(agreement->max_frame >= kMinFrame && agreement->max_frame <= kLargestFrame);
  Check(agreement->max_message < size_t{1} << 31);
  Check(agreement->max_metadata <= kMaxMetadata);
  Check(agreement->max_methods <= 65'535);
  // Names that a peer sends go into logs and errors.
  for (const std::string& name :
       {agreement->facts.node, agreement->facts.cluster, agreement->facts.wanted_node}) {
    Check(name.size() <= weft::internal::HelloFacts::kMaxNameBytes);
    for (const char c : name) Check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  }
  Check(agreement->heartbeat >= weft::Nanos::zero() && agreement->heartbeat_misses >= 1);
  return 0;
}
