// The steppables of a set: which are ready, when the next one will be, and functions that are put
// off until a step has ended.
#include "weft/core/step_set.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

class Piece final : public Steppable {
 public:
  explicit Piece(StepSet& set) : set_(set) {}
  bool Ready() const override { return ready; }
  MonoTime next_step() const override { return next; }
  void Step() override {
    // The function is asked for inside a step, so it runs behind that step.
    set_.RunBetween([this] { between = true; });
    between_inside = between;
    ready = false;
  }

  bool ready = false;
  MonoTime next = kNever;
  bool between = false;
  bool between_inside = true;

 private:
  StepSet& set_;
};

TEST(StepSet, KnowsWhatIsReadyAndWhatWillBe) {
  StepSet set;
  Piece one(set), two(set), three(set);
  for (Piece* piece : {&one, &two, &three}) set.Add(*piece);
  std::vector<Steppable*> ready;
  set.AppendReady(&ready);
  EXPECT_TRUE(ready.empty());
  EXPECT_EQ(set.next_step(), kNever);
  one.ready = three.ready = true;
  two.next = MonoTime(Nanos(7));
  one.next = MonoTime(Nanos(9));
  set.AppendReady(&ready);
  EXPECT_EQ(ready, (std::vector<Steppable*>{&one, &three}));
  EXPECT_EQ(set.next_step(), MonoTime(Nanos(7)));
  set.Remove(two);
  EXPECT_EQ(set.next_step(), MonoTime(Nanos(9)));
}

TEST(StepSet, PutsOffWhatMustNotRunInsideAStep) {
  StepSet set;
  Piece one(set);
  set.Add(one);
  one.ready = true;
  set.Step(one);
  EXPECT_FALSE(one.between_inside);
  EXPECT_TRUE(one.between);
  std::string ran;
  set.RunBetween([&ran] { ran = "at once"; });
  EXPECT_EQ(ran, "at once");
}

}  // namespace
}  // namespace weft::internal
