// A worker pool as a dispatcher sees it: where the calls of some methods run, apart from others'.
//
// Dispatcher makes them when it begins to serve: one for the pool that all share, and one for each
// other worker pool that a method names.
//
// Threads  any
// Owns     what belongs to each of the pool's threads; refers to the pool and the dispatcher
// Ends     lives as long as the dispatcher
#ifndef WEFT_RPC_SERVER_HANDLER_POOL_H_
#define WEFT_RPC_SERVER_HANDLER_POOL_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "weft/core/gate.h"
#include "weft/core/thread_contract.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/call/message_cache.h"

namespace weft::internal {

class Dispatcher;

class WEFT_ANY_THREAD HandlerPool final : public CallRunner {
 public:
  // `name` is empty for the pool that all share.
  HandlerPool(Dispatcher& dispatcher, std::string name, WorkerPool& pool);

  // CallRunner
  void RunCall(InboundCall& call, int worker) override;
  void RefuseCall(InboundCall& call) override;
  bool MoreSoon() const override { return pool_.any_queued(); }

  // Enters `gate` for each worker that is inside RunCall, which leaves it when it is out. Called
  // when every call has been answered and no more can come.
  void EnterRunning(const std::shared_ptr<Gate>& gate);

  const std::string& name() const { return name_; }
  // The setting that bounds its queue, for the text of an error.
  std::string QueueSetting() const;
  WorkerPool& pool() { return pool_; }

  // Frees the messages that idle workers keep and have not needed since the last call but one, and
  // the pages of their free memory.
  void GiveBack();

 private:
  // The data of one thread of the pool.
  struct alignas(64) Worker {
    MessageCache cache;
    std::atomic<bool> running{false};
    int looks = 0;  // of GiveBack, since the worker's last call; while it is idle, GiveBack's
  };

  Dispatcher& dispatcher_;
  const std::string name_;
  WorkerPool& pool_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_HANDLER_POOL_H_
