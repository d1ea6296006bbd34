// The moments at which a loop gives back memory, by a manual clock: it looks at the end of each
// period. The tests look at the blocks that stay and at the keepers that the trimmer asks.
#include "weft/core/idle_trimmer.h"

#include <memory>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

constexpr size_t kMiB = 1 << 20;

class Keeper final : public Trimmable {
 public:
  bool GiveBack(MonoTime) override {
    ++asked;
    return --more > 0;
  }
  void LeaveNow() { Leave(); }
  int asked = 0;
  int more = 0;
};

// Counts the allocations that have not been given back.
template <typename T>
struct Counted {
  using value_type = T;
  explicit Counted(int& out) : taken(&out) {}
  template <typename U>
  Counted(const Counted<U>& other) : taken(other.taken) {}
  T* allocate(size_t n) {
    ++*taken;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* memory, size_t n) {
    --*taken;
    std::allocator<T>().deallocate(memory, n);
  }
  template <typename U>
  bool operator==(const Counted<U>& other) const {
    return taken == other.taken;
  }
  int* taken;
};

class IdleTrimmerTest : public testing::Test {
 protected:
  IdleTrimmerTest() {
    thread_.Run([this] { trimmer_ = std::make_unique<IdleTrimmer>(thread_.loop()); });
  }
  ~IdleTrimmerTest() override {
    thread_.Run([this] { trimmer_.reset(); });
  }
  void Active() {
    thread_.Run([this] {
      thread_.loop().AssertInLoop();
      trimmer_->Active();
    });
  }
  bool Watching() {
    bool watching = false;
    thread_.Run([&] {
      thread_.loop().AssertInLoop();
      watching = trimmer_->watching();
    });
    return watching;
  }
  BlockPool& blocks() { return thread_.loop().blocks(); }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::unique_ptr<IdleTrimmer> trimmer_;
};

TEST_F(IdleTrimmerTest, GivesAllBlocksBackWhenTheLoopHasBeenIdleForTwoPeriods) {
  Active();
  for (size_t size = BlockPool::kMin; size < 40 * kMiB; size *= 2) blocks().Get(size);
  EXPECT_GT(blocks().counts().free_bytes, 30 * kMiB);
  thread_.Advance(IdleTrimmer::kPeriod);
  thread_.Advance(IdleTrimmer::kPeriod);
  EXPECT_EQ(blocks().counts().free_bytes, 0u);
  EXPECT_LE(2 * IdleTrimmer::kPeriod, std::chrono::seconds(5));
}

TEST_F(IdleTrimmerTest, KeepsWhatTrafficNeeds) {
  BlockRef burst[8];
  Active();
  for (BlockRef& block : burst) block = blocks().Get(kMiB);
  for (BlockRef& block : burst) block.reset();
  // From here on one block at a time is in use, of the eight that the burst left.
  for (int i = 0; i < 5; ++i) {
    Active();
    blocks().Get(kMiB);
    thread_.Advance(IdleTrimmer::kPeriod);
  }
  EXPECT_EQ(blocks().counts().free_blocks, 2u) << "the one in use, and a spare one";
  EXPECT_EQ(blocks().counts().made, 8u);
}

TEST_F(IdleTrimmerTest, HasNoTimerWithoutTraffic) {
  EXPECT_FALSE(Watching());
  Active();
  EXPECT_TRUE(Watching());
  thread_.Advance(IdleTrimmer::kPeriod);
  EXPECT_TRUE(Watching());  // the period before had traffic
  thread_.Advance(IdleTrimmer::kPeriod);
  EXPECT_FALSE(Watching());
  Active();
  EXPECT_TRUE(Watching());
}

TEST_F(IdleTrimmerTest, LetsNothingGatherWhileItDoesNotLook) {
  blocks().Get(kMiB);
  EXPECT_EQ(blocks().counts().free_bytes, 0u);
  Active();
  BlockRef late = blocks().Get(kMiB);
  blocks().Get(2 * kMiB);
  EXPECT_GT(blocks().counts().free_bytes, 0u);
  thread_.Advance(IdleTrimmer::kPeriod);
  thread_.Advance(IdleTrimmer::kPeriod);
  thread_.Advance(IdleTrimmer::kPeriod);
  ASSERT_FALSE(Watching());
  // No timer is left that would give it back later.
  late.reset();
  EXPECT_EQ(blocks().counts().free_bytes, 0u);
}

TEST_F(IdleTrimmerTest, AsksUntilThereIsNoMoreToGive) {
  Keeper added;
  const auto watched = std::make_shared<Keeper>();
  thread_.Run([&] {
    thread_.loop().AssertInLoop();
    trimmer_->Add(added);
    // The second call changes nothing: a keeper is asked once a look.
    trimmer_->Watch(watched);
    trimmer_->Watch(watched);
  });
  for (Keeper* const last : {&added, watched.get()}) {
    added.asked = watched->asked = 0;
    last->more = 4;
    Active();
    for (int i = 0; i < 10; ++i) thread_.Advance(IdleTrimmer::kPeriod);
    // The fourth look finds no more to give, and there was no traffic since the first, so no fifth
    // look comes.
    EXPECT_EQ(watched->asked, 4);
    EXPECT_EQ(added.asked, 4);
  }
  thread_.Run([&] { added.LeaveNow(); });
}

TEST_F(IdleTrimmerTest, AsksNobodyWhoHasLeftOrEnded) {
  Keeper stays;
  auto leaves = std::make_unique<Keeper>();
  int held = 0;
  // A weak reference to an object of make_shared keeps its memory. The allocator shows when that
  // memory goes.
  auto ends = std::allocate_shared<Keeper>(Counted<Keeper>(held));
  thread_.Run([&] {
    thread_.loop().AssertInLoop();
    trimmer_->Add(*leaves);
    trimmer_->Add(stays);
    trimmer_->Watch(ends);
  });
  thread_.Run([&] { leaves.reset(); });
  ends.reset();
  Active();
  thread_.Advance(IdleTrimmer::kPeriod);
  EXPECT_EQ(stays.asked, 1);
  EXPECT_EQ(held, 0) << "the trimmer keeps the memory of one that has ended";
  thread_.Run([&] { stays.LeaveNow(); });
}

}  // namespace
}  // namespace weft::internal
