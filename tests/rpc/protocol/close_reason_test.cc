// Names and counters of the reasons why connections end.
#include "weft/rpc/protocol/close_reason.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(CloseReason, HasANameOfItsOwnForEach) {
  std::set<std::string> names;
  for (size_t i = 0; i < kCloseReasons; ++i) {
    const std::string name(CloseReasonName(static_cast<CloseReason>(i)));
    EXPECT_FALSE(name.empty()) << i;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  // A reason that is added behind the last one must be counted as well.
  EXPECT_EQ(static_cast<size_t>(CloseReason::kInputFull) + 1, kCloseReasons);
}

TEST(CloseReason, CountsEachByItself) {
  CloseCounters counters;
  counters.Add(CloseReason::kBadFrame);
  counters.Add(CloseReason::kOutputFull);
  counters.Add(CloseReason::kOutputFull);
  for (size_t i = 0; i < kCloseReasons; ++i) {
    const auto reason = static_cast<CloseReason>(i);
    const int64_t expected = reason == CloseReason::kBadFrame     ? 1
                             : reason == CloseReason::kOutputFull ? 2
                                                                  : 0;
    EXPECT_EQ(counters.Get(reason), expected) << i;
  }
}

}  // namespace
}  // namespace weft::internal
