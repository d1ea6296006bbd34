// The owner of calls that wait for a link, as the source of links sees it.
//
// Threads  any, as the source has it; never under the source's lock, and never inside Pick
#ifndef WEFT_RPC_CLIENT_LINK_OBSERVER_H_
#define WEFT_RPC_CLIENT_LINK_OBSERVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "weft/core/requirements.h"

namespace weft::internal {

class LinkObserver {
 public:
  enum class NoLink : uint8_t {
    kFailed,      // an attempt to make one came to nothing
    kEndedEarly,  // one came up, and ended at once
  };

  // A link is there that calls may go over.
  virtual void OnLink() = 0;
  // No link is there, and none will come at once: calls that do not wait for the other side to be
  // ready end with `why`.
  virtual void OnNoLink(const absl::Status& why, NoLink how) = 0;

 protected:
  ~LinkObserver() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_LINK_OBSERVER_H_
