// A destructor that waits in a stepped runtime: its finisher takes the steps and the jumps of time
// that the wait needs.
#include "weft/core/step_finisher.h"

#include <memory>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

// Ready as long as it has steps left.
class Countdown final : public Steppable {
 public:
  explicit Countdown(const std::shared_ptr<StepSet>& set) : set_(set) {}
  bool Ready() const override { return left > 0; }
  MonoTime next_step() const override { return kNever; }
  void Step() override {
    --left;
    found_inside |= StepFinisher::Of(set_) != nullptr;
  }

  int left = 0;
  bool found_inside = false;

 private:
  const std::shared_ptr<StepSet> set_;
};

class StepFinisherTest : public testing::Test {
 protected:
  StepFinisherTest() { set_->Add(piece_); }

  const std::shared_ptr<StepSet> set_ = std::make_shared<StepSet>();
  Countdown piece_{set_};
};

TEST_F(StepFinisherTest, StepsUntilItIsDone) {
  int jumps = 0;
  StepFinisher finisher(*set_, [&] {
    // Each jump of time brings two more steps; after the fourth there is nothing to jump to.
    piece_.left = 2;
    return ++jumps < 4;
  });
  piece_.left = 3;
  EXPECT_TRUE(finisher.RunUntil([&] { return piece_.left == 1; }));
  EXPECT_EQ(jumps, 0);
  EXPECT_TRUE(finisher.RunUntil([&] { return jumps == 2; }));
  EXPECT_FALSE(finisher.RunUntil([] { return false; })) << "nothing is left to come";
  EXPECT_FALSE(piece_.found_inside) << "inside a step nobody waits";
}

TEST_F(StepFinisherTest, IsThatOfItsSetWhileItLives) {
  EXPECT_EQ(StepFinisher::Of(set_), nullptr);
  {
    StepFinisher finisher(*set_, [] { return false; });
    EXPECT_EQ(StepFinisher::Of(set_), &finisher);
    EXPECT_EQ(StepFinisher::Of(std::make_shared<StepSet>()), nullptr);
    EXPECT_EQ(StepFinisher::Of(nullptr), nullptr);
  }
  EXPECT_EQ(StepFinisher::Of(set_), nullptr);
}

}  // namespace
}  // namespace weft::internal
