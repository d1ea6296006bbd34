// Executor::Current of a thread: inside an executor, inside a nested one, and outside of all.
#include "weft/core/executor.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

// Runs the closure inside Execute, which a real executor must not do. The test needs only its
// Scope.
class OnTheSpot final : public Executor {
 public:
  void Execute(absl::AnyInvocable<void() &&> closure) override {
    const Scope scope(this);
    std::move(closure)();
  }
};

TEST(Executor, CurrentIsTheInnermostOneAndNoneOutside) {
  OnTheSpot outer, inner;
  EXPECT_EQ(Executor::Current(), nullptr);
  outer.Execute([&] {
    EXPECT_EQ(Executor::Current(), &outer);
    inner.Execute([&] { EXPECT_EQ(Executor::Current(), &inner); });
    EXPECT_EQ(Executor::Current(), &outer);
  });
  EXPECT_EQ(Executor::Current(), nullptr);
}

}  // namespace
}  // namespace weft
