// A call's deadline: set and taken back, with many others under way; and what a storm of expiries
// costs.

#include <atomic>
#include <functional>
#include <memory>

#include <benchmark/benchmark.h>

#include "weft/core/deadline_wheel.h"

namespace weft {

using namespace internal;

namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

class Deadline final : public DeadlineEntry {
 public:
  void OnDeadline() override {}
};

// Time that stands still unless told otherwise.
class StillClock final : public Clock {
 public:
  MonoTime Now() const override { return MonoTime(Nanos(now.load(std::memory_order_relaxed))); }
  std::atomic<int64_t> now{1'000'000'000};
};

// Runs `f` on a loop of its own, where a wheel may live.
template <typename F>
void OnLoop(const Clock& clock, F f) {
  EventLoopOptions options;
  options.clock = &clock;
  options.spin = Nanos::zero();
  std::unique_ptr<EventLoop> loop = *EventLoop::Create(options);
  loop->Post([&](TaskFate) {
    f(*loop);
    loop->Stop();
  });
  loop->Run();
}

// The argument says how many other deadlines are in the wheel.
void BM_InsertAndRemove(benchmark::State& state) {
  StillClock clock;
  OnLoop(clock, [&](EventLoop& loop) {
    DeadlineWheel wheel(loop);
    const auto others = static_cast<size_t>(state.range(0));
    std::unique_ptr<Deadline[]> entries(new Deadline[others]);
    for (size_t i = 0; i < others; ++i)
      wheel.Insert(&entries[i], clock.Now() + seconds(1) + microseconds(i));
    Deadline own;
    const MonoTime at = clock.Now() + seconds(10);
    for (auto _ : state) {
      wheel.Insert(&own, at);
      wheel.Remove(&own);
    }
    for (size_t i = 0; i < others; ++i) wheel.Remove(&entries[i]);
  });
}
BENCHMARK(BM_InsertAndRemove)->Arg(0)->Arg(10'000)->Arg(100'000);

// All deadlines of a dead peer expire, spread over a second: the cost of one of them.
void BM_Expire(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  std::unique_ptr<Deadline[]> entries(new Deadline[count]);
  for (auto _ : state) {
    StillClock clock;
    std::unique_ptr<DeadlineWheel> wheel;
    EventLoopOptions options;
    options.clock = &clock;
    options.spin = Nanos::zero();
    std::unique_ptr<EventLoop> loop = *EventLoop::Create(options);
    // A turn a millisecond, until all have been told.
    class Tick final : public LoopTask {
     public:
      explicit Tick(std::function<bool()> f) : f_(std::move(f)) {}
      void Run() override {
        if (f_()) EventLoop::Current()->Post(this);
      }
      void Cancel() override {}

     private:
      const std::function<bool()> f_;
    } tick([&] {
      if (wheel == nullptr) {
        wheel = std::make_unique<DeadlineWheel>(*loop);
        for (size_t i = 0; i < count; ++i) {
          wheel->Insert(&entries[i], clock.Now() + Nanos(1'000'000'000 * i / count));
        }
      }
      clock.now.fetch_add(1'000'000);
      if (wheel->size() > 0) return true;
      wheel.reset();
      loop->Stop();
      return false;
    });
    loop->Post(&tick);
    loop->Run();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Expire)->Arg(1'000)->Arg(10'000)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weft
