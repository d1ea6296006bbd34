// The lines in which calls of nodes wait for their turn: one for each handler pool, and one for
// inline methods. All loops share them, because the connections of a node may be on several loops.
//
// An inline method's call runs on the loop of its own connection, also when its turn comes on
// another thread.
//
// Dispatcher makes them when it begins to serve.
//
// Threads  any
// Owns     the queues of keys; calls stay their pool's
// Ends     lives as long as its dispatcher
#ifndef WEFT_RPC_SERVER_NODE_LINES_H_
#define WEFT_RPC_SERVER_NODE_LINES_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "weft/core/serial_executor.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_queue.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/server/handler_pool.h"

namespace weft::internal {

class WEFT_ANY_THREAD NodeLines {
 public:
  // For CallRunner::RunCall, as its worker: the call's turn has come inside another call's end, so
  // it runs later.
  static constexpr int kLater = -1;

  // `handler_pools`: the dispatcher's, the first of which bounds the line of inline methods, too.
  explicit NodeLines(const std::vector<std::unique_ptr<HandlerPool>>& handler_pools) {
    for (const auto& each : handler_pools) {
      lines_.push_back(std::make_shared<SerialExecutor>(each->pool(), each->pool().queue_limit()));
    }
    lines_.push_back(
        std::make_shared<SerialExecutor>(carrier_, handler_pools.front()->pool().queue_limit()));
  }

  SerialExecutor& Of(const BoundMethod& bound) const {
    return bound.run_inline ? *lines_.back() : *lines_[bound.handler_pool];
  }
  const std::vector<std::shared_ptr<SerialExecutor>>& all() const { return lines_; }

 private:
  // Runs steps where it is asked to: each call brings itself to its loop.
  class Carrier final : public WorkQueue {
   public:
    // Runs on the loop of the item's only call.
    bool TrySubmit(WorkItem& item) override {
      item.Run(0);
      return true;
    }
    void Requeue(WorkItem& item) override { item.Run(kLater); }
    void Resume(WorkItem& item) override { item.Run(kLater); }
  };

  Carrier carrier_;
  std::vector<std::shared_ptr<SerialExecutor>> lines_;  // that of inline methods is the last
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_NODE_LINES_H_
