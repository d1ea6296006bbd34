// Who has calls that wait for a link, seen from the source of links.
//
// Threads  any, as the source has it; never under the source's lock, and never inside Pick
#ifndef WEFT_RPC_CLIENT_LINK_OBSERVER_H_
#define WEFT_RPC_CLIENT_LINK_OBSERVER_H_

#include <cstdint>

#include "absl/status/status.h"

namespace weft {

class LinkObserver {
 public:
  enum class NoLink : uint8_t {
    kFailed,      // an attempt to make one came to nothing
    kEndedEarly,  // one came up, and ended at once
  };

  // There is a link that calls may go over.
  virtual void OnLink() = 0;
  // There is none, and none will come at once: calls that do not wait for the other side to be
  // ready end with `why`.
  virtual void OnNoLink(const absl::Status& why, NoLink how) = 0;

 protected:
  ~LinkObserver() = default;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_LINK_OBSERVER_H_
