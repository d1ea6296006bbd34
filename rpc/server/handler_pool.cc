#include "weft/rpc/server/handler_pool.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/server/dispatcher.h"

namespace weft::internal {

HandlerPool::HandlerPool(Dispatcher& dispatcher, std::string name, WorkerPool& pool)
    : dispatcher_(dispatcher), name_(std::move(name)), pool_(pool) {
  while (workers_.size() < static_cast<size_t>(pool.max_threads())) {
    workers_.push_back(std::make_unique<Worker>());
  }
}

void HandlerPool::RunCall(InboundCall& call, int worker) {
  Worker& own = *workers_[static_cast<size_t>(worker)];
  own.running.store(true, std::memory_order_relaxed);
  // `looks` belongs to this thread while it runs, and to GiveBack while the worker is idle.
  own.looks = 0;
  dispatcher_.Run(call, own.cache);
  own.running.store(false, std::memory_order_release);  // from here on this may be gone
}

void HandlerPool::GiveBack() {
  std::vector<MessageCache::Pairs> pairs;  // freed after ForEachIdle, which holds the workers up
  std::vector<int> rested;
  pool_.ForEachIdle([&](int index) {
    Worker& own = *workers_[static_cast<size_t>(index)];
    if (++own.looks != 2) return;
    pairs.push_back(own.cache.TakeAll());
    rested.push_back(index);
  });
  pairs.clear();
  // Free memory in malloc's cache of a thread can be given back by that thread only.
  if (!rested.empty()) pool_.GiveBackFreePages(rested);
}

void HandlerPool::RefuseCall(InboundCall& call) { Dispatcher::RefuseStopped(call); }

// Acquire: a thread that has seen a call's answer also sees that its worker is still inside, or has
// left.
void HandlerPool::EnterRunning(const std::shared_ptr<Gate>& gate) {
  pool_.watch().EnterUntilNext(gate, [this](int index) {
    return workers_[static_cast<size_t>(index)]->running.load(std::memory_order_acquire);
  });
}

std::string HandlerPool::QueueSetting() const {
  return name_.empty() ? "worker_queue" : absl::StrCat("queue of the pool ", name_);
}

}  // namespace weft::internal
