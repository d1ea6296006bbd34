// Finds a connection's share of the queue that a call waits in, and makes it for the first such
// call.
//
// A connection has one share of each handler pool, and one for inline methods that have an order.
//
// Threads  the loop of the call's connection
// Owns     nothing: the shares are the connection's (CallOrigin::shares)
// Ends     lives no longer than the dispatcher
#ifndef WEFT_RPC_SERVER_CALLER_SHARES_H_
#define WEFT_RPC_SERVER_CALLER_SHARES_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "weft/core/thread_contract.h"
#include "weft/core/work_share.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/server/dispatcher.h"

namespace weft::internal {

class CallerShares {
 public:
  // The dispatcher serves.
  explicit CallerShares(Dispatcher& dispatcher)
      : admission_(dispatcher.admission()), inline_place_(dispatcher.handler_pools().size()) {}

  const std::shared_ptr<WorkShare>& Of(const InboundCall& call) const WEFT_LOOP_ONLY {
    const std::vector<std::shared_ptr<WorkShare>>& shares = call.origin->shares;
    const size_t place = call.bound->run_inline ? inline_place_ : call.bound->handler_pool;
    return place < shares.size() && shares[place] != nullptr ? shares[place]
                                                             : Make(*call.origin, place);
  }

 private:
  const std::shared_ptr<WorkShare>& Make(CallOrigin& origin, size_t place) const WEFT_LOOP_ONLY;

  const Admission& admission_;
  const size_t inline_place_;  // behind those of the handler pools
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CALLER_SHARES_H_
