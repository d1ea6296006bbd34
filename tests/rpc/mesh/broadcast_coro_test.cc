// Coroutines that are destroyed at the moment at which they are to be resumed, by another thread.
#include <atomic>
#include <chrono>
#include <coroutine>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "absl/functional/any_invocable.h"
#include "tests/protos/echo.weft.h"
#include "tests/support/held_target.h"
#include "weft/core/clock.h"
#include "weft/core/executor.h"
#include "weft/rpc/broadcast.h"

namespace weft::test {
namespace {

constexpr const auto& kEcho = EchoService::kEcho;

// Keeps what it is handed until the test's thread runs it.
class Strand final : public Executor {
 public:
  void Execute(absl::AnyInvocable<void() &&> closure) override {
    std::lock_guard<std::mutex> lock(mu_);
    waiting_.push_back(std::move(closure));
  }
  void RunAll() {
    std::deque<absl::AnyInvocable<void() &&>> all;
    {
      std::lock_guard<std::mutex> lock(mu_);
      all.swap(waiting_);
    }
    for (auto& closure : all) std::move(closure)();
  }

 private:
  std::mutex mu_;
  std::deque<absl::AnyInvocable<void() &&>> waiting_;
};

// A coroutine that begins at once and is destroyed by whoever has the handle.
struct Begun {
  struct promise_type {
    Begun get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };
  std::coroutine_handle<promise_type> handle;
};

// A cluster of one other member, "b".
class OneTarget final : public BroadcastTargets {
 public:
  OneTarget() {
    auto set = std::make_shared<PeerSet>();
    set->others.push_back({"b", target});
    set_ = std::move(set);
  }
  std::shared_ptr<const PeerSet> Snapshot() const override { return set_; }
  const std::shared_ptr<HeldTarget> target = std::make_shared<HeldTarget>();

 private:
  std::shared_ptr<const PeerSet> set_;
};

Begun AwaitCall(const OneTarget& targets, Executor* strand, int* resumed) {
  const EchoRequest request;
  const auto reply =
      co_await EchoService::Stub(*targets.target).EchoCoro(request, {.executor = strand});
  ++*resumed;
}
Begun AwaitOutcome(const OneTarget& targets, Executor* strand, int* resumed) {
  const EchoRequest request;
  const auto result = co_await BroadcastCoro(targets, kEcho, request, {.executor = strand});
  ++*resumed;
}
Begun AwaitFirst(const OneTarget& targets, Executor* strand, int* resumed) {
  const EchoRequest request;
  BroadcastCall<EchoReply> call = BroadcastStart(targets, kEcho, request, {.executor = strand});
  PeerReply<EchoReply> one;
  (void)co_await call.NextCoro(&one);
  ++*resumed;
}

using Await = Begun (*)(const OneTarget&, Executor*, int*);

class CoroRace : public testing::TestWithParam<Await> {};

// The coroutine is resumed on the strand only, which is this thread: so it is destroyed before.
TEST_P(CoroRace, OneThatIsDestroyedIsNotResumed) {
  constexpr int kTimes = 5'000;  // or as often as fits into two seconds
  Strand strand;
  std::atomic<OneTarget*> to_reply{nullptr};
  std::atomic<bool> replied{false}, over{false};
  std::thread peer([&] {
    while (!over) {
      if (OneTarget* const targets = to_reply.exchange(nullptr)) {
        targets->target->Reply(EchoReply());
        replied = true;
      }
      std::this_thread::yield();
    }
  });
  int resumed = 0;
  const MonoTime until = Clock::System().Now() + std::chrono::seconds(2);
  for (int i = 0; i < kTimes && Clock::System().Now() < until; ++i) {
    OneTarget targets;
    const Begun coroutine = GetParam()(targets, &strand, &resumed);
    // Cleared first: the peer's thread may reply as soon as it has the target.
    replied = false;
    to_reply = &targets;
    while (to_reply != nullptr) std::this_thread::yield();
    // Earlier or later while the peer replies.
    for (std::atomic<int> spin = 0; spin < i % 500; ++spin) {
    }
    coroutine.handle.destroy();
    while (!replied) std::this_thread::yield();
    // A resumption that was handed to the strand before the destruction runs now. The coroutine
    // that it was for is gone.
    strand.RunAll();
  }
  over = true;
  peer.join();
  EXPECT_EQ(resumed, 0);
}

INSTANTIATE_TEST_SUITE_P(EachForm, CoroRace,
                         testing::Values(&AwaitCall, &AwaitOutcome, &AwaitFirst));

}  // namespace
}  // namespace weft::test
