// The moment at which a pool gets another worker. The growth runs on a thread of its own, over a
// pool that only reports its state.
#include "weft/core/pool_growth.h"

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

// A pool whose workers stand still, or take one item after the other.
class Pool final : public GrowthHost {
 public:
  explicit Pool(bool is_busy) : busy(is_busy) {}

  bool Overloaded() const override { return overloaded.load(); }
  // A busy pool returns another number each time, so two looks never see the same.
  uint64_t taken() const override { return busy ? ++taken_ : 0; }
  bool AllBlocked(std::vector<Nanos>*) override {
    // Ends the test if no worker has been added by then.
    if (++looks == kLooks) End();
    return true;
  }
  std::optional<absl::Status> AddWorker() override {
    grown = true;
    End();
    return absl::OkStatus();
  }
  int threads() const override { return 1; }

  static constexpr int kLooks = 10;
  const bool busy;
  std::atomic<bool> overloaded{true};
  int looks = 0;       // its growth's thread's
  bool grown = false;  // used by the growth's thread, and by the test after Stop
  std::promise<void> done;

 private:
  void End() {
    if (overloaded.exchange(false)) done.set_value();
  }

  mutable std::atomic<uint64_t> taken_{0};
};

TEST(PoolGrowth, AddsAWorkerWhenAllHaveStoodStill) {
  Pool pool(/*is_busy=*/false);
  const Log log;
  const std::string name = "workers";
  PoolGrowth growth(pool, name, log);
  ASSERT_TRUE(growth.Start().ok());
  growth.AskToLook();
  pool.done.get_future().wait();
  growth.Stop();
  EXPECT_TRUE(pool.grown);
  // The new worker has ended the test, before the looks were used up.
  EXPECT_LT(pool.looks, Pool::kLooks);
}

TEST(PoolGrowth, AddsNoneWhileItemsAreTaken) {
  Pool pool(/*is_busy=*/true);
  const Log log;
  const std::string name = "workers";
  PoolGrowth growth(pool, name, log);
  ASSERT_TRUE(growth.Start().ok());
  growth.AskToLook();
  pool.done.get_future().wait();
  growth.Stop();
  EXPECT_FALSE(pool.grown);
  EXPECT_EQ(pool.looks, Pool::kLooks);
}

TEST(PoolGrowth, EndsThoughNobodyAskedAnything) {
  Pool pool(/*is_busy=*/false);
  const Log log;
  const std::string name = "workers";
  PoolGrowth growth(pool, name, log);
  ASSERT_TRUE(growth.Start().ok());
  growth.Stop();
  EXPECT_EQ(pool.looks, 0);
}

}  // namespace
}  // namespace weft::internal
