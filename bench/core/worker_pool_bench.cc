// Measures what it costs to hand work to the pool, one by one and in batches.

#include <atomic>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "weft/core/parker.h"
#include "weft/core/work_ring.h"
#include "weft/core/worker_pool.h"

namespace weft {

using namespace internal;

namespace {

void BM_WorkRingPushAndTake(benchmark::State& state) {
  WorkRing<int> ring(1'024);
  int item = 0;
  for (auto _ : state) {
    ring.TryPush(&item);
    benchmark::DoNotOptimize(ring.TryTake());
  }
}
BENCHMARK(BM_WorkRingPushAndTake);

// The last of a batch calls whoever waits for it.
struct Countdown {
  std::atomic<int> left{0};
  Parker parker;
};

class Step final : public WorkItem {
 public:
  void Run(int) override {
    if (countdown->left.fetch_sub(1, std::memory_order_acq_rel) == 1) countdown->parker.Unpark();
  }
  // Counts as well, or the wait for the batch would never end.
  void Cancel() override { Run(0); }
  Countdown* countdown = nullptr;
};

// Submits a batch and waits for its end. Arguments: items a batch, workers.
void BM_HandOff(benchmark::State& state) {
  WorkerPoolOptions options;
  options.threads = static_cast<int>(state.range(1));
  std::unique_ptr<WorkerPool> pool = *WorkerPool::Create(options);
  const auto batch = static_cast<size_t>(state.range(0));
  Countdown countdown;
  std::unique_ptr<Step[]> steps(new Step[batch]);
  std::vector<WorkItem*> items;
  for (size_t i = 0; i < batch; ++i) {
    steps[i].countdown = &countdown;
    items.push_back(&steps[i]);
  }
  for (auto _ : state) {
    countdown.left.store(static_cast<int>(batch), std::memory_order_relaxed);
    pool->TrySubmit(items.data(), batch);
    countdown.parker.Park();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  pool->Stop();
}
BENCHMARK(BM_HandOff)
    ->ArgNames({"batch", "workers"})
    ->Args({1, 1})
    ->Args({1, 4})
    ->Args({64, 1})
    ->Args({64, 4})
    ->Args({1'024, 4})
    ->UseRealTime();

// The cost of a coroutine's next step.
void BM_Execute(benchmark::State& state) {
  WorkerPoolOptions options;
  options.threads = 1;
  std::unique_ptr<WorkerPool> pool = *WorkerPool::Create(options);
  Parker parker;
  for (auto _ : state) {
    pool->Execute([&] { parker.Unpark(); });
    parker.Park();
  }
  pool->Stop();
}
BENCHMARK(BM_Execute)->UseRealTime();

}  // namespace
}  // namespace weft
