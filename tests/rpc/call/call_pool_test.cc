// The calls of a loop that are used again: one thread plays the loop, and others give calls back.
#include "weft/rpc/call/call_pool.h"

#include <malloc.h>

#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/loop_bell.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {
namespace {

// These tests have no loop: one thread is as good as it.
void BeTheLoop() WEFT_ASSERT_CAPABILITY(on_loop) {}

class Origin final : public CallOrigin {
 public:
  void SendAnswer(InboundCall& call, const absl::Status& status, ReplyMessage*, bool) override {
    answers.fetch_add(1);
    refused.fetch_add(call.refused() ? 1 : 0);
    errors.fetch_add(status.ok() ? 0 : 1);
  }
  // On the loop, when it collects; the answers come on any thread.
  void OnCallReturned(InboundCall& call) override { returned.push_back(call.id.load()); }
  void WatchDeadline(InboundCall&) override {}
  const std::string& peer() const override { return peer_; }
  const std::string& identity() const override { return peer_; }

  std::atomic<int> answers{0}, refused{0}, errors{0};
  std::vector<uint64_t> returned;

 private:
  const std::string peer_ = "peer";
};

InboundCall& TakeFor(CallPool& pool, std::shared_ptr<Origin> origin, uint64_t id) {
  BeTheLoop();
  InboundCall& call = pool.Take();
  call.origin = std::move(origin);
  call.id.store(id);
  return call;
}

TEST(CallPool, GivesACallOutAgainOnlyWhenItWasCollected) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  InboundCall& first = TakeFor(pool, origin, 1);
  first.Answer(absl::OkStatus(), nullptr);
  // Answered, but not collected yet.
  EXPECT_EQ(pool.out(), 1u);
  InboundCall& second = TakeFor(pool, origin, 2);
  // The answered call is still the worker's until the loop collects: used again at once, two
  // threads could hold it.
  EXPECT_NE(&first, &second);
  pool.Collect();
  EXPECT_EQ(origin->returned, std::vector<uint64_t>{1});
  EXPECT_EQ(pool.out(), 1u);
  InboundCall& third = TakeFor(pool, origin, 3);
  EXPECT_EQ(&third, &first);
  second.Refuse(absl::UnavailableError("no"));
  third.Answer(absl::InternalError("no"), nullptr);
  pool.Collect();
  EXPECT_EQ(pool.out(), 0u);
  EXPECT_EQ(origin->answers, 3);
  EXPECT_EQ(origin->refused, 1);
  EXPECT_EQ(origin->errors, 2);
}

TEST(CallPool, MakesACollectedCallAsNew) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  InboundCall& call = TakeFor(pool, origin, 7);
  Metadata metadata;
  ASSERT_TRUE(metadata.Add("k", "v").ok());
  std::string raw(metadata.WireSize(), '\0');
  metadata.WriteTo(raw.data());
  call.SetMetadata(raw);
  // Everything that a call can carry is set once, so that all of it has to be cleared.
  call.SetRequest(BlockRef(), "abc", 3);
  call.deadline = MonoTime{};
  call.MarkCancelled();
  ASSERT_TRUE(call.ParseMetadata().ok());
  EXPECT_EQ(call.metadata().Get("k"), "v");
  ASSERT_TRUE(call.trailers().Add("t", "v").ok());
  call.Refuse(absl::InternalError(""));
  pool.Collect();
  EXPECT_EQ(origin.use_count(), 1) << "a call in the pool keeps no connection";
  InboundCall& again = TakeFor(pool, origin, 8);
  ASSERT_EQ(&again, &call);
  EXPECT_FALSE(again.cancelled());
  EXPECT_FALSE(again.refused());
  EXPECT_EQ(again.deadline, kNever);
  EXPECT_EQ(again.request_size(), 0u);
  EXPECT_TRUE(again.ParseMetadata().ok());
  EXPECT_TRUE(again.metadata().empty());
  EXPECT_TRUE(again.trailers().empty());
  // Neither the old deadline nor the old cancelling is left.
  EXPECT_TRUE(again.CheckStillWanted().ok());
  again.Answer(absl::OkStatus(), nullptr);
  pool.Collect();
}

TEST(CallPool, FreesWhatComesBackAfterItsEnd) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  auto keeper = std::make_shared<int>();
  {
    CallPool pool(keeper);
    InboundCall& before = TakeFor(pool, origin, 1);
    InboundCall& after = TakeFor(pool, origin, 2);
    before.Answer(absl::OkStatus(), nullptr);
    pool.Close();
    EXPECT_EQ(origin->returned, std::vector<uint64_t>{1});
    after.Answer(absl::OkStatus(), nullptr);
    // Nobody collects for a pool that has closed: the call frees itself.
    EXPECT_EQ(origin->returned.size(), 1u);
    pool.Collect();  // harmless
    // The pool that is closed still keeps what its calls refer to.
    EXPECT_EQ(keeper.use_count(), 2);
  }
  EXPECT_EQ(keeper.use_count(), 1);
  EXPECT_EQ(origin.use_count(), 1);
}

TEST(CallPool, KeepsOnlySoManyUnusedCalls) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  std::vector<InboundCall*> out;
  for (size_t i = 0; i < CallPool::kMaxFree + 100; ++i) {
    out.push_back(&TakeFor(pool, origin, i + 1));
  }
  for (InboundCall* call : out) call->Answer(absl::OkStatus(), nullptr);
  pool.Collect();
  EXPECT_EQ(origin->returned.size(), out.size());
  EXPECT_EQ(pool.out(), 0u);
  EXPECT_EQ(pool.free(), CallPool::kMaxFree) << "the other 100 are freed";
}

TEST(CallPool, GivesBackTheCallsThatWereNotNeededSinceTheLastTime) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  const auto burst = [&](uint64_t calls) {
    BeTheLoop();
    std::vector<InboundCall*> out;
    for (uint64_t i = 0; i < calls; ++i) out.push_back(&TakeFor(pool, origin, i + 1));
    for (InboundCall* call : out) call->Answer(absl::OkStatus(), nullptr);
    pool.Collect();
  };
  burst(500);
  EXPECT_TRUE(pool.GiveBack(MonoTime()));
  // All were needed since the look before, so none goes yet.
  EXPECT_EQ(pool.free(), 500u);
  // Three were needed since the last look, so 497 go.
  burst(3);
  EXPECT_TRUE(pool.GiveBack(MonoTime()));
  EXPECT_EQ(pool.free(), 3u);
  EXPECT_FALSE(pool.GiveBack(MonoTime()));
  EXPECT_EQ(pool.free(), 0u);
}

TEST(CallPool, KeepsNoLargeMetadataOfACallThatHasEnded) {
  BeTheLoop();
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  Metadata metadata;
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(metadata.Add("key", std::string(3'000, 'v')).ok());
  std::string raw(metadata.WireSize(), '\0');
  metadata.WriteTo(raw.data());
  // All that malloc has given out, mappings included.
  const auto held = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  const auto serve = [&] {
    BeTheLoop();
    InboundCall& call = TakeFor(pool, origin, 7);
    call.SetMetadata(raw);
    ASSERT_TRUE(call.ParseMetadata().ok());
    // The reply's side can be as large as the request's.
    call.trailers().Append(metadata);
    call.initial_metadata().pairs.Append(metadata);
    call.Answer(absl::OkStatus(), nullptr);
    pool.Collect();
  };
  // The first call and its block are made before the measurement.
  TakeFor(pool, origin, 6).Answer(absl::OkStatus(), nullptr);
  pool.Collect();
  [[maybe_unused]] const size_t before = held();
  serve();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // malloc's own books
  EXPECT_LT(held(), before + 20'000);  // the smallest pieces stay with the thread
#endif
  EXPECT_EQ(pool.free(), 1u);
}

TEST(CallPool, TakesCallsBackFromManyThreads) {
  BeTheLoop();
  constexpr int kThreads = 4, kCalls = 5'000;
  auto origin = std::make_shared<Origin>();
  CallPool pool(nullptr);
  std::vector<std::vector<InboundCall*>> shares(kThreads);
  for (int round = 0; round < 3; ++round) {
    for (auto& share : shares) {
      share.clear();
      for (int i = 0; i < kCalls; ++i) share.push_back(&TakeFor(pool, origin, 1));
    }
    std::atomic<int> running{kThreads};
    std::vector<std::thread> threads;
    for (auto& share : shares) {
      threads.emplace_back([&share, &running] {
        for (InboundCall* call : share) call->Answer(absl::OkStatus(), nullptr);
        running.fetch_sub(1);
      });
    }
    // The loop collects while the others return: a call that is lost between the two shows in
    // `out`.
    while (running.load() > 0) pool.Collect();
    for (std::thread& thread : threads) thread.join();
    pool.Collect();
    EXPECT_EQ(pool.out(), 0u);
  }
  EXPECT_EQ(origin->answers, 3 * kThreads * kCalls);
  EXPECT_EQ(origin->returned.size(), static_cast<size_t>(3 * kThreads * kCalls));
}

TEST(CallPool, RingsForTheFirstCallThatComesBackAfterACollect) {
  LoopThread thread;
  thread.Run([&] {
    BeTheLoop();
    auto origin = std::make_shared<Origin>();
    CallPool pool(nullptr);
    int rings = 0;
    const auto bell = std::make_shared<LoopBell>(thread.shared_loop(), [&] { ++rings; });
    std::vector<InboundCall*> calls;
    for (uint64_t id = 1; id <= 6; ++id) calls.push_back(&TakeFor(pool, origin, id));
    const auto answer = [&](size_t i) { calls[i]->Answer(absl::OkStatus(), nullptr); };
    // A task that is posted by a ring stands behind this one, so it is looked for in the loop's own
    // queue: the bell is freed by its call alone.
    const auto rung = [&] { return bell.use_count() > 2; };
    answer(0);
    pool.Watch(bell);
    EXPECT_EQ(pool.out(), 5u) << "what had come back before is collected";
    EXPECT_FALSE(rung());
    answer(1);
    EXPECT_TRUE(rung());
    // The bell was rung by the call before, and is not rung again until the loop has collected.
    answer(2);
    EXPECT_EQ(pool.out(), 5u);
    pool.Collect();
    EXPECT_EQ(pool.out(), 3u);
    pool.Collect();  // none waits
    answer(3);
    pool.Unwatch();
    pool.Collect();
    EXPECT_EQ(pool.out(), 2u);
    answer(4);
    pool.Watch(bell);
    EXPECT_EQ(pool.out(), 1u);
    answer(5);
    pool.Close();
    EXPECT_EQ(pool.out(), 0u);
    EXPECT_EQ(origin->returned, (std::vector<uint64_t>{1, 3, 2, 4, 5, 6}));
    // The posted task refers to `rings`, which goes with this one.
    bell->Silence();
  });
}

// The loop collects when it is rung and at no other time: a call that it is not told of stays out.
TEST(CallPool, LosesNoCallThatOtherThreadsReturnWhileItIsWatched) {
  constexpr uint64_t kCalls = 2000;
  constexpr size_t kThreads = 3;
  LoopThread thread;
  auto origin = std::make_shared<Origin>();
  auto pool = std::make_shared<CallPool>(nullptr);
  Watched<size_t> out{kCalls};
  std::vector<InboundCall*> calls;
  std::shared_ptr<LoopBell> bell;
  thread.Run([&] {
    BeTheLoop();
    for (uint64_t id = 1; id <= kCalls; ++id) calls.push_back(&TakeFor(*pool, origin, id));
    bell = std::make_shared<LoopBell>(thread.shared_loop(), [&] {
      BeTheLoop();
      pool->Collect();
      out.Set(pool->out());
    });
    pool->Watch(bell);
  });
  std::vector<std::thread> answering;
  for (size_t t = 0; t < kThreads; ++t) {
    answering.emplace_back([&, t] {
      for (size_t i = t; i < calls.size(); i += kThreads) {
        calls[i]->Answer(absl::OkStatus(), nullptr);
      }
    });
  }
  // A call that came back without a ring would never be collected.
  EXPECT_TRUE(out.WaitForValue(0));
  for (std::thread& t : answering) t.join();
  thread.Run([&] {
    BeTheLoop();
    bell->Silence();
    pool->Close();
  });
  EXPECT_EQ(origin->returned.size(), kCalls);
}

}  // namespace
}  // namespace weft::internal
