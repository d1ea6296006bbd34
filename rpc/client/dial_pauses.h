// Decides how long to wait before the next attempt to connect, by how the last one ended.
//
// A failure is waited out from a short pause on: servers restart. A refusal of this side's identity
// is not: the same token is refused again until somebody changes something, and each attempt costs
// the server a question to its authenticator. So its pauses begin at a second.
//
// Threads  value
#ifndef WEFT_RPC_CLIENT_DIAL_PAUSES_H_
#define WEFT_RPC_CLIENT_DIAL_PAUSES_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/rpc/client/backoff.h"

namespace weft::internal {

class DialPauses {
 public:
  // The first pause after a refusal, where `most` allows so much.
  static constexpr Nanos kAfterRefusal = std::chrono::seconds(1);

  // The parameters are those of Backoff.
  DialPauses(Nanos first, double factor, Nanos most, double jitter, uint64_t seed)
      : failures_(first, factor, most, jitter, seed),
        refusals_(std::max(first, kAfterRefusal), factor, most, jitter, ~seed) {}

  // True if the other side refused this side's identity.
  static bool IsRefusal(const absl::Status& why) {
    return absl::IsUnauthenticated(why) || absl::IsPermissionDenied(why);
  }
  // The wait after an attempt that ended with `why`.
  Nanos Next(const absl::Status& why) {
    return IsRefusal(why) ? refusals_.Next() : failures_.Next();
  }
  // An attempt succeeded.
  void Reset() {
    failures_.Reset();
    refusals_.Reset();
  }

 private:
  Backoff failures_, refusals_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_DIAL_PAUSES_H_
