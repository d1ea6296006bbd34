// Reasons for the end of connections, for counters and logs, common to all protocols. The Status
// beside a reason says exactly what was wrong.
//
// Threads  value; CloseCounters: any
#ifndef WEFT_RPC_PROTOCOL_CLOSE_REASON_H_
#define WEFT_RPC_PROTOCOL_CLOSE_REASON_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "weft/core/thread_contract.h"

namespace weft {

enum class CloseReason : uint8_t {
  kPeerClosed,        // an orderly end by the peer
  kBroken,            // reset, or another error of the socket
  kLocal,             // this side is stopping, or drained
  kGoAway,            // the peer announced it
  kUnknownProtocol,   // first bytes or negotiated protocol not known here
  kVersion,           // no common version, or a required feature this side lacks
  kHandshakeTimeout,  // the protocol's or the transport's
  kHandshakeFailed,   // the transport's, such as TLS
  kFrameTooLong,
  kTruncatedFrame,  // the stream ended inside a frame
  kBadFrame,        // not allowed by its protocol, at this point or at all
  kUnauthenticated,
  kSilent,      // heartbeats were not answered
  kOutputFull,  // the peer does not read
  kInputFull,   // no room for the peer's input
};
// The number of values above: each has a counter.
inline constexpr size_t kCloseReasons = 15;

// A short name, also the counter's label.
std::string_view CloseReasonName(CloseReason reason);

namespace internal {

class WEFT_ANY_THREAD CloseCounters {
 public:
  void Add(CloseReason reason) {
    counts_[static_cast<size_t>(reason)].fetch_add(1, std::memory_order_relaxed);
  }
  int64_t Get(CloseReason reason) const {
    return counts_[static_cast<size_t>(reason)].load(std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<int64_t>, kCloseReasons> counts_{};
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CLOSE_REASON_H_
