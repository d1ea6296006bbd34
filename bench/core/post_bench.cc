// Measures what it costs to hand a task to a loop: awake, asleep, and there and back.

#include <deque>
#include <thread>

#include <benchmark/benchmark.h>

#include "weft/core/event_loop.h"
#include "weft/core/parker.h"
#include "weft/core/post_queue.h"

namespace weft {

using namespace internal;

namespace {

class Counting final : public LoopTask {
 public:
  void Run() override {}
  void Cancel() override {}
};

// A loop on its thread.
class Running {
 public:
  explicit Running(Nanos spin) {
    EventLoopOptions options;
    options.spin = spin;
    loop = *EventLoop::Create(std::move(options));
    thread_ = std::thread([this] { loop->Run(); });
  }
  ~Running() {
    loop->Stop();
    thread_.join();
  }
  std::unique_ptr<EventLoop> loop;

 private:
  std::thread thread_;
};

void BM_PostQueuePushAndTake(benchmark::State& state) {
  PostQueue queue;
  Counting task;
  for (auto _ : state) {
    queue.Push(&task);
    TaskList tasks = queue.TakeAll();
    benchmark::DoNotOptimize(tasks.Pop());
  }
}
BENCHMARK(BM_PostQueuePushAndTake);

// Many tasks a wake-up: the usual case under load.
void BM_PostBatch(benchmark::State& state) {
  Running running(Nanos::zero());
  const int batch = static_cast<int>(state.range(0));
  std::deque<Counting> tasks(static_cast<size_t>(batch));
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) running.loop->Post(&tasks[static_cast<size_t>(i)]);
    Parker done;
    running.loop->Post([&](TaskFate) { done.Unpark(); });
    done.Park();
  }
  state.SetItemsProcessed(state.iterations() * batch);
  state.counters["wakes"] = benchmark::Counter(static_cast<double>(running.loop->counts().wakes),
                                               benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_PostBatch)->Arg(1)->Arg(64)->Arg(1024)->UseRealTime();

// A task that wakes its poster: two wake-ups, or none where the loop polls. The argument is the
// spin in µs.
void BM_PostRoundTrip(benchmark::State& state) {
  Running running(std::chrono::microseconds(state.range(0)));
  class Answer final : public LoopTask {
   public:
    void Run() override { parker.Unpark(); }
    void Cancel() override { parker.Unpark(); }
    Parker parker;
  } answer;
  for (auto _ : state) {
    running.loop->Post(&answer);
    answer.parker.Park();
  }
  state.counters["wakes"] = benchmark::Counter(static_cast<double>(running.loop->counts().wakes),
                                               benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_PostRoundTrip)->Arg(0)->Arg(50)->UseRealTime();

}  // namespace
}  // namespace weft
