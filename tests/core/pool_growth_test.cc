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
  uint64_t taken() const override { return busy ? ++taken_ : 0; }
  bool AllBlocked(std::vector<Nanos>*) override {
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
  bool grown = false;  // likewise
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
