// Why connections end, for counters and logs: what every protocol has. What exactly a protocol has
// found wrong is in the Status that goes with it.
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
  kPeerClosed,        // in an orderly way
  kBroken,            // reset, or another error of the socket
  kLocal,             // this side is stopping, or drained
  kGoAway,            // the peer said so
  kUnknownProtocol,   // its first bytes, or what its transport agreed on, are no protocol's here
  kVersion,           // no common version, or a required feature this side lacks
  kHandshakeTimeout,  // of the protocol or of the transport
  kHandshakeFailed,   // the transport's, of TLS say
  kFrameTooLong,
  kTruncatedFrame,  // the stream ended inside a frame
  kBadFrame,        // what cannot be in its protocol, at this place or at all
  kUnauthenticated,
  kSilent,      // heartbeats were not answered
  kOutputFull,  // the peer does not read
  kInputFull,   // there is no room for what it sends
};
inline constexpr size_t kCloseReasons = 15;

// "wrong preface" and the like; also the label of the counter.
std::string_view CloseReasonName(CloseReason reason);

class ANY_THREAD CloseCounters {
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

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_CLOSE_REASON_H_
