#include "weft/rpc/server/caller_shares.h"

namespace weft::internal {

const std::shared_ptr<WorkShare>& CallerShares::Make(CallOrigin& origin, size_t place) const {
  std::vector<std::shared_ptr<WorkShare>>& shares = origin.shares;
  if (shares.size() <= place) shares.resize(place + 1);
  if (const HandlerPoolLoad* const watched = admission_.load(place)) {
    shares[place] = watched->NewCaller();
  } else {
    shares[place] = std::make_shared<WorkShare>();
  }
  return shares[place];
}

}  // namespace weft::internal
