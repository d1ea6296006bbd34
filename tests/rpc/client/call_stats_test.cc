// A client's counts by method, whose table grows under its readers.
#include "weft/rpc/client/call_stats.h"

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

// Methods of a service, with names that stay where they are.
class Methods {
 public:
  explicit Methods(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      names_.push_back(absl::StrCat("s/", absl::Dec(i, absl::kZeroPad4)));
      infos_.push_back({.service = "s", .name = names_.back(), .full_name = names_.back()});
    }
  }
  const MethodInfo& operator[](size_t i) const { return infos_[i]; }
  size_t size() const { return infos_.size(); }

 private:
  std::deque<std::string> names_;
  std::deque<MethodInfo> infos_;
};

TEST(CallStats, SaysNothingBeforeTheFirstCall) { EXPECT_TRUE(CallStats().Snapshot().empty()); }

TEST(CallStats, FindsEachMethodAgainWhileItGrows) {
  const Methods methods(CallStats::kMaxMethods);
  CallStats stats;
  std::vector<MethodCalls*> found;
  for (size_t i = 0; i < methods.size(); ++i) {
    found.push_back(&stats.Of(methods[i]));
    // Counts stay where they are, whenever the table has grown.
    for (size_t k = 0; k <= i; ++k) ASSERT_EQ(&stats.Of(methods[k]), found[k]) << i;
    // Each method has a count of its own, so that mixed-up ones are seen.
    for (size_t n = 0; n <= i; ++n) found[i]->Started();
  }
  const std::vector<CallStatsSnapshot> all = stats.Snapshot();
  ASSERT_EQ(all.size(), methods.size());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].method, methods[i].full_name);
    EXPECT_EQ(all[i].started, static_cast<int64_t>(i + 1));
  }
}

TEST(CallStats, CountsMethodsBeyondItsRoomTogether) {
  const Methods methods(CallStats::kMaxMethods + 10);
  CallStats stats;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < methods.size(); ++i) stats.Of(methods[i]).Started();
  }
  const std::vector<CallStatsSnapshot> all = stats.Snapshot();
  ASSERT_EQ(all.size(), CallStats::kMaxMethods + 1);
  // Sorted by name, "other" comes before the methods of the service "s".
  EXPECT_EQ(all.front().method, CallStats::kOther);
  // Ten methods without a place, twice each.
  EXPECT_EQ(all.front().started, 20);
  for (size_t i = 1; i < all.size(); ++i) EXPECT_EQ(all[i].started, 2);
}

TEST(CallStats, OneNameAtTwoAddressesIsOneMethod) {
  // Methods are found by their address, and told by their name.
  const MethodInfo one{.service = "s", .name = "m", .full_name = "s/m"}, two = one;
  CallStats stats;
  stats.Of(one).Started();
  stats.Of(two).Started();
  const std::vector<CallStatsSnapshot> all = stats.Snapshot();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].started, 2);
}

TEST(CallStats, ManyThreadsFindTheSameMethods) {
  constexpr int kThreads = 4;
  const Methods methods(CallStats::kMaxMethods);
  CallStats stats;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < methods.size(); ++i) stats.Of(methods[i]).Started();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<CallStatsSnapshot> all = stats.Snapshot();
  ASSERT_EQ(all.size(), methods.size());
  for (const CallStatsSnapshot& method : all) EXPECT_EQ(method.started, kThreads);
}

}  // namespace
}  // namespace weft::internal
