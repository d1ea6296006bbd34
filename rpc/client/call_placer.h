// Finds a link for a call that has waited for room, or ends it. Implemented by the starter of
// calls.
//
// Threads  CompleteLater: any. The rest: the home loop, CompleteNow after its end, too
#ifndef WEFT_RPC_CLIENT_CALL_PLACER_H_
#define WEFT_RPC_CLIENT_CALL_PLACER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/client/full_links.h"

namespace weft::internal {

class CallPlacer {
 public:
  enum class Placed : uint8_t {
    kDone,     // it was started, has ended, or waits for a link now
    kNoRoom,   // the link that it is for is full; other calls may be for other links
    kAllFull,  // all links are full
  };

  // `full`: links that are not tried. Links that are found full are added.
  virtual Placed PlaceAgain(OutboundCall& call, FullLinks* full) WEFT_LOOP_ONLY = 0;
  // Ends a call that was not sent. `output_full`: for want of room.
  virtual void CompleteNow(OutboundCall& call, const absl::Status& status, bool output_full) = 0;
  virtual void CompleteLater(OutboundCall& call, absl::Status status, bool output_full) = 0;

 protected:
  ~CallPlacer() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_CALL_PLACER_H_
