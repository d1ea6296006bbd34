// Appending replies to a connection's output and flushing them, without the kernel's part.

#include <cstring>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "bench/core/sink_transport.h"
#include "weft/core/output_queue.h"

namespace weft {

using namespace internal;

namespace {

// Arguments: bytes a reply, replies a flush.
void BM_AppendAndFlush(benchmark::State& state) {
  OutputQueue queue(std::make_unique<bench::SinkTransport>());
  const auto size = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    for (int64_t i = 0; i < state.range(1); ++i) {
      MutexLock lock(queue.mutex());
      std::memset(queue.Reserve(size), 'x', size);
      queue.Commit(size);
      benchmark::DoNotOptimize(queue.Claim());
    }
    queue.Flush();
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
  state.SetBytesProcessed(state.iterations() * state.range(0) * state.range(1));
}
BENCHMARK(BM_AppendAndFlush)
    ->ArgNames({"bytes", "replies"})
    ->Args({32, 1})
    ->Args({32, 64})
    ->Args({1'024, 1})
    ->Args({1'024, 64})
    ->Args({60'000, 4});

void BM_AppendSharedAndFlush(benchmark::State& state) {
  OutputQueue queue(std::make_unique<bench::SinkTransport>());
  const auto bytes = std::make_shared<std::string>(1 << 20, 'x');
  for (auto _ : state) {
    {
      MutexLock lock(queue.mutex());
      queue.AppendShared(bytes, bytes->data(), bytes->size());
      benchmark::DoNotOptimize(queue.Claim());
    }
    queue.Flush();
  }
}
BENCHMARK(BM_AppendSharedAndFlush);

// Each thread appends and flushes what it claims: contention for one connection.
void BM_AppendFromManyThreads(benchmark::State& state) {
  static OutputQueue* queue = nullptr;
  // All threads meet where the loop begins and where it ends: the others find the queue made, and
  // not yet gone.
  if (state.thread_index() == 0) queue = new OutputQueue(std::make_unique<bench::SinkTransport>());
  for (auto _ : state) {
    bool claimed;
    {
      MutexLock lock(queue->mutex());
      std::memset(queue->Reserve(32), 'x', 32);
      queue->Commit(32);
      claimed = queue->Claim();
    }
    if (claimed) queue->Flush();
  }
  if (state.thread_index() == 0) delete queue;
}
BENCHMARK(BM_AppendFromManyThreads)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace weft
