// The loops of a group, each on its thread: how the group deals them out, and how a loop behaves
// that outlives its group.
#include "weft/core/loop_group.h"

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

std::unique_ptr<LoopGroup> GroupOf(int threads) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group =
      LoopGroup::Create(threads, LoopThread::Options());
  EXPECT_TRUE(group.ok()) << group.status();
  return *std::move(group);
}

// Runs `f` on that loop and waits for it. Returns false if the loop has closed.
bool RunOn(EventLoop& loop, std::function<void()> f) {
  Watched<int> fate{-1};
  loop.Post([&](TaskFate how) {
    if (how == TaskFate::kRun) f();
    fate.Set(how == TaskFate::kRun ? 1 : 0);
  });
  EXPECT_TRUE(fate.WaitFor([](int k) { return k >= 0; }));
  return fate.Get() == 1;
}

TEST(LoopGroup, HasSoManyThreadsEachWithItsLoop) {
  auto group = GroupOf(3);
  EXPECT_EQ(group->size(), 3u);
  std::set<std::thread::id> threads;
  std::set<std::string> names;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(RunOn(*group->At(i).loop, [&] {
      threads.insert(std::this_thread::get_id());
      EXPECT_TRUE(group->InLoop());
    }));
    names.insert(group->At(i).loop->name());
    EXPECT_NE(group->At(i).arena, nullptr);
    EXPECT_NE(group->At(i).wheel, nullptr);
  }
  EXPECT_EQ(threads.size(), 3u);
  EXPECT_EQ(names, (std::set<std::string>{"test-loop0", "test-loop1", "test-loop2"}));
  EXPECT_FALSE(group->InLoop());
}

TEST(LoopGroup, HasAtLeastOneThread) { EXPECT_EQ(GroupOf(0)->size(), 1u); }

TEST(LoopGroup, DealsItsLoopsOutInTurnAndByKey) {
  auto group = GroupOf(3);
  IoThread* const first = &group->Next();
  IoThread* const second = &group->Next();
  IoThread* const third = &group->Next();
  EXPECT_EQ((std::set<IoThread*>{first, second, third}).size(), 3u);
  EXPECT_EQ(&group->Next(), first);
  // Keys are taken by the number of loops.
  EXPECT_EQ(&group->At(7), &group->At(1));
}

TEST(LoopGroup, StopAnswersWhatIsPostedAndMayComeTwice) {
  auto group = GroupOf(2);
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) {
    group->Next().loop->Post([&](TaskFate) { answered.fetch_add(1); });
  }
  group->Stop();
  group->Stop();
  EXPECT_EQ(answered.load(), 100);
}

TEST(LoopGroup, AHandleKeepsItsLoopAliveBeyondTheGroupAndIsToldSo) {
  std::shared_ptr<EventLoop> loop;
  {
    auto group = GroupOf(2);
    loop = group->Next().loop;
  }
  EXPECT_FALSE(RunOn(*loop, [] { ADD_FAILURE() << "it has closed"; }));
}

}  // namespace
}  // namespace weft::internal
