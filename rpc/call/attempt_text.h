// Names the attempt of a call that an error tells of: `call Echo/Say: attempt 2 of 3: read:
// Connection reset by peer; …`.
//
// Threads  value
#ifndef WEFT_RPC_CALL_ATTEMPT_TEXT_H_
#define WEFT_RPC_CALL_ATTEMPT_TEXT_H_

#include <string_view>

#include "absl/status/status.h"
#include "weft/rpc/base/method.h"

namespace weft::internal {

// `status` with `attempt` ("attempt 2 of 3") behind the call's name; payloads are kept.
absl::Status WithAttempt(const absl::Status& status, const MethodInfo& method,
                         std::string_view attempt);

// `status` with `suffix` behind its message; payloads are kept.
absl::Status WithSuffix(const absl::Status& status, std::string_view suffix);

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_ATTEMPT_TEXT_H_
