// The table of this side's calls: their numbers, their order, and deadlines that the loop has to
// look for.
#include "weft/rpc/protocol/native/outbound_calls.h"

#include <chrono>
#include <deque>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace weft::internal::native {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

constexpr MethodInfo kMethod{"a.Service", "Say", "a.Service/Say"};

class TestCall final : public OutboundCall {
 public:
  TestCall() : OutboundCall(kMethod, Hello::default_instance(), CallOptions()) {}

 private:
  void Complete(const CallEnd&) override {}
};

// Counts those whose time has come.
class Target final : public DeadlineTarget {
 public:
  void OnCallDeadline(OutboundCall& call) override { told.push_back(call.wire().id); }
  std::vector<uint64_t> told;
};

class OutboundCallsTest : public testing::Test {
 protected:
  // So many calls, with their numbers.
  void Add(int count) {
    for (int i = 0; i < count; ++i) {
      TestCall& call = made_.emplace_back();
      call.wire().id = calls_.Add(&call);
    }
  }
  static std::vector<uint64_t> Ids(const OutboundCall* list) {
    std::vector<uint64_t> ids;
    for (; list != nullptr; list = list->wire().next) ids.push_back(list->wire().id);
    return ids;
  }

  OutboundCalls calls_;
  std::deque<TestCall> made_;
};

TEST_F(OutboundCallsTest, AreNumberedInTheirOrderAndTakenOnce) {
  Add(3);
  EXPECT_EQ(made_[0].wire().id, 1u);
  EXPECT_EQ(made_[2].wire().id, 3u);
  EXPECT_EQ(calls_.size(), 3u);
  EXPECT_EQ(calls_.Find(2), &made_[1]);
  EXPECT_EQ(calls_.Take(2), &made_[1]);
  EXPECT_EQ(calls_.Take(2), nullptr);
  EXPECT_EQ(calls_.Find(2), nullptr);
  EXPECT_EQ(calls_.size(), 2u);
  Add(1);  // numbers are not used again
  EXPECT_EQ(made_[3].wire().id, 4u);
  calls_.Trim();
  EXPECT_EQ(calls_.Find(1), &made_[0]);
}

TEST_F(OutboundCallsTest, KnowWhichNumbersWereEverGiven) {
  EXPECT_FALSE(calls_.EverStarted(1));
  Add(2);
  calls_.Take(1);
  EXPECT_FALSE(calls_.EverStarted(0));
  EXPECT_TRUE(calls_.EverStarted(1));
  EXPECT_TRUE(calls_.EverStarted(2));
  EXPECT_FALSE(calls_.EverStarted(3));
  EXPECT_FALSE(calls_.EverStarted(OutboundCalls::kMaxId));
}

TEST_F(OutboundCallsTest, AboveANumberAreTakenTogether) {
  Add(5);
  calls_.Take(4);
  EXPECT_THAT(Ids(calls_.TakeAbove(2)), ElementsAre(3, 5));
  EXPECT_EQ(calls_.TakeAbove(2), nullptr);
  EXPECT_EQ(calls_.size(), 2u);
  EXPECT_THAT(Ids(calls_.TakeAll()), ElementsAre(1, 2));
  EXPECT_EQ(calls_.size(), 0u);
  EXPECT_EQ(calls_.TakeAll(), nullptr);
}

TEST_F(OutboundCallsTest, AreTakenTogetherInTheOrderOfTheirNumbers) {
  // An old one keeps its slot: one of the others has to stand elsewhere.
  Add(1);
  for (int i = 0; i < 100; ++i) {
    Add(1);
    if (i < 90) calls_.Take(static_cast<uint64_t>(i) + 2);
  }
  const std::vector<uint64_t> last = {92, 93, 94, 95, 96, 97, 98, 99, 100, 101};
  std::vector<uint64_t> all = {1};
  all.insert(all.end(), last.begin(), last.end());
  EXPECT_EQ(Ids(calls_.TakeAll()), all);
}

TEST_F(OutboundCallsTest, AskForALookWhereADeadlineComesBeforeTheNextOne) {
  ManualClock clock;
  const MonoTime now = clock.Now();
  EXPECT_TRUE(calls_.NoteDeadline(now + seconds(8), seconds(8)));
  EXPECT_FALSE(calls_.NoteDeadline(now + seconds(9), seconds(9)));
  EXPECT_FALSE(calls_.NoteDeadline(now + seconds(8), seconds(8)));
  EXPECT_TRUE(calls_.NoteDeadline(now + seconds(2), seconds(2)));
}

TEST_F(OutboundCallsTest, PutTheirDeadlinesIntoTheWheelWhenTheLoopLooks) {
  ManualClock clock;
  LoopThread thread(clock);
  Target target;
  std::unique_ptr<DeadlineWheel> wheel;
  const MonoTime begin = clock.Now();
  Add(3);  // the third has no deadline
  made_[0].MakePlan().deadline = begin + seconds(2);
  made_[1].MakePlan().deadline = begin + milliseconds(100);
  EXPECT_TRUE(calls_.NoteDeadline(made_[0].plan().deadline, seconds(2)));
  EXPECT_TRUE(calls_.NoteDeadline(made_[1].plan().deadline, milliseconds(100)));
  thread.Run([&] {
    thread.loop().AssertInLoop();
    wheel = std::make_unique<DeadlineWheel>(thread.loop());
    // Again after a quarter of the shortest.
    EXPECT_EQ(calls_.Arm(*wheel, &target, clock), begin + milliseconds(25));
    EXPECT_EQ(wheel->size(), 2u);
    // The next look finds none that is new, and none follows it.
    EXPECT_EQ(calls_.Arm(*wheel, &target, clock), kNever);
    EXPECT_EQ(wheel->size(), 2u);
  });
  // So the next one must ask.
  EXPECT_TRUE(calls_.NoteDeadline(begin + seconds(5), seconds(5)));
  // Past the deadline of the second call, and before that of the first.
  thread.Advance(milliseconds(200));
  thread.Settle();
  thread.Run([&] {
    thread.loop().AssertInLoop();
    EXPECT_THAT(target.told, ElementsAre(2));
    wheel->Remove(&made_[0]);
    wheel.reset();
  });
}

TEST_F(OutboundCallsTest, AreLookedForBetweenAMillisecondAndASecond) {
  ManualClock clock;
  LoopThread thread(clock);
  Target target;
  thread.Run([&] {
    thread.loop().AssertInLoop();
    DeadlineWheel wheel(thread.loop());
    const MonoTime now = clock.Now();
    // A quarter of 1 ms is below the shortest look, and a quarter of 100 s above the longest.
    (void)calls_.NoteDeadline(now + milliseconds(1), milliseconds(1));
    EXPECT_EQ(calls_.Arm(wheel, &target, clock), now + milliseconds(1));
    (void)calls_.NoteDeadline(now + seconds(100), seconds(100));
    EXPECT_EQ(calls_.Arm(wheel, &target, clock), now + seconds(1));
  });
}

}  // namespace
}  // namespace weft::internal::native
