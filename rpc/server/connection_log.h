// The log lines about the connections of one loop of a server: at most ten a second.
//
// Threads  loop-only
#ifndef WEFT_RPC_SERVER_CONNECTION_LOG_H_
#define WEFT_RPC_SERVER_CONNECTION_LOG_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/log.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/close_reason.h"

namespace weft::internal {

class ConnectionLog {
 public:
  explicit ConnectionLog(const Log& log) : log_(log) {}

  // A connection was refused.
  void Refused(MonoTime now, std::string_view peer, std::string_view why) WEFT_LOOP_ONLY;
  // A connection has ended. `of_peer`: of the server's node, which tells of the peer itself.
  void Ended(MonoTime now, CloseReason reason, const absl::Status& why, std::string_view peer,
             bool of_peer) WEFT_LOOP_ONLY;

 private:
  void Write(MonoTime now, LogLevel level, std::string_view line) WEFT_LOOP_ONLY;

  const Log log_;
  // Lines a second.
  LogLimiter limiter_ WEFT_LOOP_OWNED{10};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CONNECTION_LOG_H_
