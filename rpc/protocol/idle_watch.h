// Tells when a connection has had no calls for long enough.
//
// Look is called every quarter of the timeout. A connection is found idle after one timeout, at
// most half a timeout later. Nothing is counted when calls begin and end.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_IDLE_WATCH_H_
#define WEFT_RPC_PROTOCOL_IDLE_WATCH_H_

#include <cstdint>

#include "weft/rpc/protocol/connection_info.h"

namespace weft::internal {

class IdleWatch {
 public:
  // Looks in one timeout.
  static constexpr int kLooks = 4;

  // Returns true when the last five looks saw no call, and none began between them.
  bool Look(const ConnectionVolume& volume) {
    const bool quiet = volume.calls == 0 && volume.calls_begun == begun_;
    begun_ = volume.calls_begun;
    looks_ = quiet ? looks_ + 1 : 0;
    return looks_ > kLooks;
  }

 private:
  uint64_t begun_ = UINT64_MAX;
  int looks_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_IDLE_WATCH_H_
