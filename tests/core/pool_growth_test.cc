#include "weft/core/pool_growth.h"

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

// A pool whose workers stand still, or take one item after the other.
class Pool final : public GrowthHost {
 public:
  explicit Pool(bool is_busy) : busy(is_busy) {}

  bool Overloaded() const override { return overloaded.load(); }
  uint64_t taken() const override { return busy ? ++taken_ : 0; }
  bool AllBlocked(std::vector<Nanos>*) override {
    if (++looks < kLooks) return true;
    overloaded = false;
    if (looks == kLooks) looked_enough.set_value();
    return true;
  }
  std::optional<absl::Status> AddWorker() override {
    overloaded = false;
    added.set_value();
    return absl::OkStatus();
  }
  int threads() const override { return 1; }

  static constexpr int kLooks = 10;
  const bool busy;
  std::atomic<bool> overloaded{true};
  int looks = 0;  // its growth's thread's
  std::promise<void> added;
  std::promise<void> looked_enough;

 private:
  mutable std::atomic<uint64_t> taken_{0};
};

TEST(PoolGrowth, AddsAWorkerWhenAllHaveStoodStill) {
  Pool pool(/*is_busy=*/false);
  const Log log;
  const std::string name = "workers";
  PoolGrowth growth(pool, name, log);
  ASSERT_TRUE(growth.Start().ok());
  growth.AskToLook();
  pool.added.get_future().wait();
  growth.Stop();
  EXPECT_LT(pool.looks, Pool::kLooks);
}

TEST(PoolGrowth, AddsNoneWhileItemsAreTaken) {
  Pool pool(/*is_busy=*/true);
  const Log log;
  const std::string name = "workers";
  PoolGrowth growth(pool, name, log);
  ASSERT_TRUE(growth.Start().ok());
  growth.AskToLook();
  pool.looked_enough.get_future().wait();
  growth.Stop();
  EXPECT_EQ(pool.added.get_future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
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
}  // namespace weft
