// Coroutines without a result, several at once (WhenAll), and a thread that waits for one
// (BlockOn). The tests open gates to decide when each coroutine ends.
#include "weft/core/coro.h"

#include <coroutine>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/block_on.h"
#include "weft/core/callback_queue.h"
#include "weft/core/executor.h"
#include "weft/core/when_all.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;

// Suspends, and is resumed by the test.
struct Gate {
  std::coroutine_handle<> waiting;
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h) { waiting = h; }
  void await_resume() {}
  void Open() { CoroStack::Resume(std::exchange(waiting, nullptr)); }
};

// Suspends; a thread of its own then resumes the coroutine on the executor that was current, or on
// itself where there was none.
class Elsewhere {
 public:
  ~Elsewhere() {
    if (thread_.joinable()) thread_.join();
  }
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    thread_ = std::thread([executor = Executor::Current(), h] {
      if (executor == nullptr) {
        CoroStack::Resume(h);
      } else {
        CallbackQueue::Execute(*executor, "a coroutine", [h] { CoroStack::Resume(h); });
      }
    });
  }
  void await_resume() {}

 private:
  std::thread thread_;
};

Coro<void> Pass(Gate* gate, std::vector<int>* order, int number) {
  co_await *gate;
  order->push_back(number);
}

Coro<int> Give(Gate* gate, int number) {
  co_await *gate;
  co_return number;
}

Coro<int> Ready(int number) { co_return number; }

Coro<void> Throw(const char* what) {
  throw std::runtime_error(what);
  co_return;
}

// ---- Coro<void>

TEST(CoroOfVoid, IsAwaitedAndSpawnedLikeAnyOther) {
  Gate gate;
  std::vector<int> order;
  const auto twice = [](Gate* g, std::vector<int>* o) -> Coro<void> {
    co_await Pass(g, o, 1);
    co_await Pass(g, o, 2);
  };
  bool ended = false;
  Spawn(twice(&gate, &order), [&](std::exception_ptr error) {
    EXPECT_FALSE(error);
    ended = true;
  });
  gate.Open();
  EXPECT_FALSE(ended);
  gate.Open();
  EXPECT_TRUE(ended);
  EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(CoroOfVoid, WhatItThrowsComesOutOfAwaitingIt) {
  std::string caught;
  const auto catches = [](std::string* text) -> Coro<void> {
    try {
      co_await Throw("inside");
    } catch (const std::runtime_error& e) {
      *text = e.what();
    }
  };
  Spawn(catches(&caught));
  EXPECT_EQ(caught, "inside");
  bool threw = false;
  Spawn(Throw("again"), [&](std::exception_ptr error) { threw = error != nullptr; });
  EXPECT_TRUE(threw);
}

TEST(CoroOfVoid, WhatOneWithoutAnEndThrowsIsCounted) {
  LoopThread thread;
  thread.Run([] { Spawn(Throw("for nobody")); });
  thread.Stop();
  EXPECT_EQ(thread.loop().faults()->count(), 1);
}

// ---- WhenAll

TEST(WhenAll, AllRunAtOnceAndTheirResultsAreInOrder) {
  Gate first, second, third;
  std::vector<int> order;
  std::optional<std::tuple<int, std::monostate, int>> results;
  Spawn(WhenAll(Give(&first, 1), Pass(&second, &order, 2), Give(&third, 3)),
        [&](auto all, std::exception_ptr) { results = all; });
  ASSERT_TRUE(first.waiting && second.waiting && third.waiting);
  // The coroutines end in another order than WhenAll names them.
  third.Open();
  first.Open();
  EXPECT_FALSE(results.has_value());
  second.Open();
  ASSERT_TRUE(results.has_value());
  EXPECT_EQ(std::get<0>(*results), 1);
  EXPECT_EQ(std::get<2>(*results), 3);
  EXPECT_THAT(order, ElementsAre(2));
}

TEST(WhenAll, TakesAVectorToo) {
  Gate first, second;
  std::optional<std::vector<int>> results;
  std::vector<Coro<int>> some;
  some.push_back(Give(&first, 1));
  some.push_back(Ready(2));
  some.push_back(Give(&second, 3));
  Spawn(WhenAll(std::move(some)), [&](auto all, std::exception_ptr) { results = all; });
  second.Open();
  EXPECT_FALSE(results.has_value());
  first.Open();
  ASSERT_TRUE(results.has_value());
  EXPECT_THAT(*results, ElementsAre(1, 2, 3));
}

TEST(WhenAll, NeedsNobodyToWait) {
  std::vector<int> order;
  const auto many = [](std::vector<int>* o) -> Coro<void> {
    int64_t sum = 0;
    // This many nested resumptions would overflow the stack.
    for (int i = 0; i < 100'000; ++i) {
      const auto [a, b] = co_await WhenAll(Ready(i), Ready(1));
      sum += a + b;
    }
    EXPECT_EQ(sum, int64_t{100'000} * 99'999 / 2 + 100'000);
    // WhenAll of nothing must not suspend: nobody could resume it later.
    co_await WhenAll(std::vector<Coro<void>>());
    o->push_back(1);
  };
  Spawn(many(&order));
  EXPECT_THAT(order, ElementsAre(1));
}

TEST(WhenAll, ThrowsTheFirstInOrderWhenAllHaveEnded) {
  Gate gate;
  std::vector<int> order;
  std::vector<Coro<void>> some;
  some.push_back(Pass(&gate, &order, 1));
  some.push_back(Throw("the second"));
  some.push_back(Throw("the third"));
  std::string caught;
  Spawn(WhenAll(std::move(some)), [&](std::exception_ptr error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::runtime_error& e) {
      caught = e.what();
    }
  });
  // Two coroutines have thrown, and the first still runs. WhenAll waits for it, since it may use
  // objects that belong to the coroutine that awaits.
  EXPECT_EQ(caught, "");
  gate.Open();
  EXPECT_EQ(caught, "the second");
  EXPECT_THAT(order, ElementsAre(1));
}

// Counts the objects that live.
struct Alive {
  explicit Alive(int* alive) : count(alive) { ++*count; }
  Alive(Alive&& o) noexcept : count(std::exchange(o.count, nullptr)) {}
  ~Alive() {
    if (count != nullptr) --*count;
  }
  int* count;
};

Coro<void> Hold(Gate* gate, Alive) { co_await *gate; }

TEST(WhenAll, DestroyedBeforeItsEndDestroysWhatItAwaits) {
  Gate first, second;
  int alive = 0;
  {
    const auto all = WhenAll(Hold(&first, Alive(&alive)), Hold(&second, Alive(&alive)));
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);  // none of the coroutines has begun
  {
    auto all = WhenAll(Hold(&first, Alive(&alive)), Hold(&second, Alive(&alive)));
    // Begin it by hand, as awaiting it would, so that the test can still destroy it.
    CoroStack::Resume(all.await_suspend(std::noop_coroutine()));
    ASSERT_TRUE(second.waiting);
    first.Open();
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(WhenAll, TheLastThatEndsResumesItWhicheverThreadsTheyEndOn) {
  // All four end at about the same time. Each must count itself out, and exactly one must resume
  // the awaiting coroutine: if two did, a finished coroutine would be resumed; if none did, BlockOn
  // would wait for ever.
  for (int round = 0; round < 200; ++round) {
    auto hop = [](int number) -> Coro<int> {
      Elsewhere elsewhere;
      co_await elsewhere;
      co_return number;
    };
    std::vector<Coro<int>> some;
    for (int i = 0; i < 4; ++i) some.push_back(hop(i));
    const absl::StatusOr<std::vector<int>> all = BlockOn(WhenAll(std::move(some)));
    ASSERT_TRUE(all.ok());
    EXPECT_THAT(*all, ElementsAre(0, 1, 2, 3));
  }
}

// ---- BlockOn

TEST(BlockOn, GivesWhatTheCoroutineReturns) {
  EXPECT_EQ(*BlockOn(Ready(7)), 7);
  EXPECT_TRUE(BlockOn([]() -> Coro<void> { co_return; }()).ok());
  const auto fails = []() -> Coro<absl::Status> { co_return absl::NotFoundError("none"); };
  EXPECT_TRUE(absl::IsNotFound(BlockOn(fails())));
  const auto fails_too = []() -> Coro<absl::StatusOr<int>> { co_return absl::DataLossError(""); };
  // BlockOn does not wrap a StatusOr into another one.
  const absl::StatusOr<int> flat = BlockOn(fails_too());
  EXPECT_TRUE(absl::IsDataLoss(flat.status()));
}

TEST(BlockOn, WhatTheCoroutineThrowsComesOutOfIt) {
  EXPECT_THROW((void)BlockOn(Throw("out")), std::runtime_error);
}

TEST(BlockOn, TheCoroutineRunsOnTheThreadThatWaits) {
  const auto hops = [](std::thread::id here) -> Coro<int> {
    int same = 0;
    for (int i = 0; i < 3; ++i) {
      Elsewhere elsewhere;
      co_await elsewhere;
      same += std::this_thread::get_id() == here ? 1 : 0;
      // No callback is on the stack here, so the coroutine may call BlockOn itself.
      EXPECT_FALSE(CallbackQueue::InCallback());
      EXPECT_EQ(*BlockOn(Ready(i)), i);
    }
    co_return same;
  };
  EXPECT_EQ(*BlockOn(hops(std::this_thread::get_id())), 3);
  // The thread lends itself only until BlockOn returns.
  EXPECT_EQ(Executor::Current(), nullptr);
}

TEST(BlockOn, WhatItSpawnsGoesOnElsewhereAndMayOutliveIt) {
  Gate gate;
  Notification ended;
  std::vector<int> order;
  const auto spawns = [&]() -> Coro<void> {
    Spawn([](Gate* g, Notification* e) -> Coro<void> {
      // The waiting thread is no executor for the spawned coroutine: it may have left BlockOn
      // before the coroutine ends.
      EXPECT_EQ(Executor::Current(), nullptr);
      co_await *g;
      e->Notify();
    }(&gate, &ended));
    EXPECT_NE(Executor::Current(), nullptr);
    co_return;
  };
  EXPECT_TRUE(BlockOn(spawns()).ok());
  gate.Open();
  EXPECT_TRUE(ended.HasHappened());
}

TEST(BlockOn, IsRefusedOnALoop) {
  LoopThread thread;
  bool begun = false;
  absl::Status status;
  const auto begins = [](bool* b) -> Coro<void> {
    *b = true;
    co_return;
  };
  // Waiting would keep the loop from the very event that is waited for.
  thread.Run([&] { status = BlockOn(begins(&begun)); });
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("I/O thread"));
  EXPECT_FALSE(begun);
}

TEST(BlockOn, HoldsItsWorkerAndNeedsNoOther) {
  // The only worker waits in BlockOn: a coroutine that went on in the pool would never be resumed.
  absl::StatusOr<std::unique_ptr<WorkerPool>> pool = WorkerPool::Create({.threads = 1});
  ASSERT_TRUE(pool.ok());
  Notification ended;
  const auto hops = [](WorkerPool* workers) -> Coro<bool> {
    Elsewhere elsewhere;
    co_await elsewhere;
    co_return workers->InPool();
  };
  (*pool)->Execute([&] {
    const absl::StatusOr<bool> in_pool = BlockOn(hops(pool->get()));
    EXPECT_TRUE(in_pool.ok() && *in_pool);
    EXPECT_EQ(Executor::Current(), pool->get());
    ended.Notify();
  });
  EXPECT_TRUE(ended.Wait());
}

}  // namespace
}  // namespace weft::internal
