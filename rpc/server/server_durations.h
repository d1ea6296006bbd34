// Checks the durations of a server's options.
//
// Threads  value; functions without state
// Errors   as DurationCheck
#ifndef WEFT_RPC_SERVER_SERVER_DURATIONS_H_
#define WEFT_RPC_SERVER_SERVER_DURATIONS_H_

#include "absl/status/status.h"
#include "weft/rpc/server_options.h"

namespace weft::internal {

absl::Status CheckDurations(const ServerOptions& options);

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SERVER_DURATIONS_H_
