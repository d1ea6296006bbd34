// The one table of status codes on the wire: absl's, which are gRPC's.
//
// Threads  value
#ifndef WEFT_RPC_BASE_WIRE_STATUS_H_
#define WEFT_RPC_BASE_WIRE_STATUS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft {

namespace internal {

inline uint16_t ToWireCode(absl::StatusCode code) { return static_cast<uint16_t>(code); }

// Codes this version does not know are UNKNOWN.
inline absl::StatusCode FromWireCode(uint16_t code) {
  return code <= static_cast<uint16_t>(absl::StatusCode::kUnauthenticated)
             ? static_cast<absl::StatusCode>(code)
             : absl::StatusCode::kUnknown;
}

}  // namespace internal

// "UNAVAILABLE" and the like.
std::string StatusCodeName(absl::StatusCode code);

// A status's payloads (google.protobuf.Any by type URL) as bytes for the wire, and back. Payloads
// that do not parse are left out: a damaged detail must not hide the message.
std::string StatusDetails(const absl::Status& status);
void SetStatusDetails(std::string_view details, absl::Status* status);

namespace internal {

// `status` with `context` before its message; payloads are kept.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// `status` with another message; code and payloads are kept.
absl::Status WithMessage(const absl::Status& status, std::string_view message);

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_BASE_WIRE_STATUS_H_
