// The rules of a history, each broken on purpose: the tests tell it of calls, executions and ends,
// and look at the lines of Check. The order of these reports stands for time.
#include "weft/rpc/history.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Id = History::Id;
using Kind = History::Kind;
using Outcome = History::Outcome;

class HistoryTest : public testing::Test {
 protected:
  Id Call() { return history_.Began({.what = "Say"}); }
  // Begins a write to a register, and has it executed on one node.
  Id Write(const std::string& value) {
    const Id id = history_.Began({.kind = Kind::kWrite, .key = "k", .value = value});
    history_.Executed(id, "a");
    return id;
  }
  Id Read() {
    const Id id = history_.Began({.kind = Kind::kRead, .key = "k"});
    history_.Executed(id, "a");
    return id;
  }
  void Acknowledged(const std::string& value) { history_.Ended(Write(value), Outcome::kOk); }
  void Found(std::optional<std::string> value) { history_.Ended(Read(), Outcome::kOk, value); }

  History history_;
};

TEST_F(HistoryTest, FindsNothingWrongWithWhatIsRight) {
  const Id ok = Call();
  history_.Executed(ok, "a");
  history_.Ended(ok, Outcome::kOk);
  const Id twice = Call();  // sent again, and the caller knows
  history_.Executed(twice, "a");
  history_.Executed(twice, "b");
  history_.Ended(twice, Outcome::kUnknown);
  history_.Ended(Call(), Outcome::kNotExecuted);
  history_.Ended(Call(), Outcome::kUnknown);
  EXPECT_THAT(history_.Check(), IsEmpty());
  EXPECT_EQ(history_.CheckStatus(), absl::OkStatus());
  EXPECT_EQ(history_.Summary(), "4 calls: 1 OK, 1 not executed, 2 unknown, 0 without an end");
}

TEST_F(HistoryTest, SeesACallThatDoesNotEnd) {
  Call();
  EXPECT_THAT(history_.Check(), ElementsAre("call 0 (Say) has not ended"));
}

TEST_F(HistoryTest, ACallOfADeadCallerNeedNotEnd) {
  history_.CallerDied(Call());
  EXPECT_THAT(history_.Check(), IsEmpty());
}

TEST_F(HistoryTest, SeesASecondEnd) {
  const Id id = Call();
  history_.Executed(id, "a");
  history_.Ended(id, Outcome::kOk);
  history_.Ended(id, Outcome::kUnknown);
  EXPECT_THAT(history_.Check(), ElementsAre("call 0 (Say) ended 2 times"));
}

TEST_F(HistoryTest, SeesAnOkThatWasNotExecuted) {
  history_.Ended(Call(), Outcome::kOk);
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("ended with OK, and was not executed")));
}

TEST_F(HistoryTest, SeesAnExecutionThatNeverWas) {
  const Id id = Call();
  history_.Ended(id, Outcome::kNotExecuted);
  history_.Executed(id, "b");  // a later execution counts as well
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("but it was, on b")));
}

TEST_F(HistoryTest, SeesCallsThatNeverBegan) {
  history_.Executed(7, "a");
  history_.Ended(8, Outcome::kOk);
  history_.CallerDied(9);
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("7 was executed"), HasSubstr("8 has ended"),
                                            HasSubstr("9 lost its caller")));
}

TEST_F(HistoryTest, SeesABroadcastThatReachedSomebodyTwice) {
  const Id id = history_.Began({.kind = Kind::kBroadcast, .what = "all"});
  for (const char* node : {"a", "b", "c", "b"}) history_.Executed(id, node);
  history_.Ended(id, Outcome::kOk);
  EXPECT_THAT(history_.Check(), ElementsAre("call 0 (all) reached b 2 times"));
}

TEST_F(HistoryTest, SeesAnOkThatCameBeforeTheExecution) {
  const Id id = Call();
  // The end comes before the execution, so the answer was not the handler's.
  history_.Ended(id, Outcome::kOk);
  history_.Executed(id, "a");
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("OK, and was not executed by then")));
}

TEST_F(HistoryTest, SeesASecondExecutionOfWhatIsSentOnce) {
  const Id id = history_.Began({.sent = History::Sent::kOnce});
  history_.Executed(id, "a");
  history_.Executed(id, "b");
  history_.Ended(id, Outcome::kUnknown);
  EXPECT_THAT(history_.Check(), ElementsAre("call 0 was executed 2 times"));
}

TEST_F(HistoryTest, SeesAMajorityThatIsNone) {
  const Id id = history_.Began({.kind = Kind::kBroadcast, .needed = 3});
  history_.Executed(id, "a");
  history_.Executed(id, "b");
  history_.Ended(id, Outcome::kOk);
  history_.Executed(id, "c");  // comes too late to count
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("executed on 2 nodes by then, not on 3")));
}

TEST_F(HistoryTest, HoldsWhatWasSaidOfEachNode) {
  const Id id = history_.Began({.kind = Kind::kBroadcast});
  history_.Executed(id, "a");
  history_.EndedAt(id, "a", Outcome::kOk);
  history_.EndedAt(id, "b", Outcome::kNotExecuted);
  history_.EndedAt(id, "c", Outcome::kUnknown);
  history_.Ended(id, Outcome::kOk);
  EXPECT_THAT(history_.Check(), IsEmpty());
  history_.Executed(id, "b");
  // The outcome on c is unknown, so its execution is legal.
  history_.Executed(id, "c");
  history_.EndedAt(id, "d", Outcome::kOk);
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("but it was, on b"),
                                            HasSubstr("answered by d, which had not executed")));
}

TEST_F(HistoryTest, SeesAnOrderThatIsNotKept) {
  std::vector<Id> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(history_.Began({.in_order = "a to b"}));
  // This call belongs to another order, which is not compared with the first.
  const Id other = history_.Began({.in_order = "c to b"});
  history_.Executed(other, "b");
  history_.Executed(ids[0], "b");
  history_.Executed(ids[2], "b");
  for (const Id id : {ids[0], ids[2], other}) history_.Ended(id, Outcome::kOk);
  history_.Ended(ids[1], Outcome::kUnknown);
  EXPECT_THAT(history_.Check(), IsEmpty());  // the call between was not executed
  history_.Executed(ids[1], "b");
  EXPECT_THAT(history_.Check(),
              ElementsAre("call 2 was executed on b before call 1, which began before it"));
}

TEST_F(HistoryTest, WithoutExecutionsTheRulesAboutThemDoNotHold) {
  const Id id = history_.Began({.what = "elsewhere", .executions_told = false});
  history_.Ended(id, Outcome::kOk);
  EXPECT_THAT(history_.Check(), IsEmpty());
}

// ---- what is left in the end

TEST_F(HistoryTest, AnAcknowledgedWriteIsThereInTheEnd) {
  Acknowledged("1");
  Acknowledged("2");
  history_.FinallyRead("a", "k", "2");
  EXPECT_THAT(history_.Check(), IsEmpty());
  history_.FinallyRead("b", "k", "1");
  EXPECT_THAT(
      history_.Check(),
      ElementsAre("call 1 write k = \"2\" was acknowledged, and node b has \"1\" in the end"));
}

TEST_F(HistoryTest, AnAcknowledgedWriteIsNotLost) {
  Acknowledged("1");
  history_.FinallyRead("a", "k", std::nullopt);
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("node a has nothing in the end")));
}

TEST_F(HistoryTest, AWriteThatMayHaveBeenMayBeWhatIsLeft) {
  // A write without a known end may take effect behind the write that comes after it.
  const Id unknown = Write("7");
  history_.Ended(unknown, Outcome::kUnknown);
  Acknowledged("8");
  history_.FinallyRead("a", "k", "7");  // it took effect late
  history_.FinallyRead("b", "k", "8");
  EXPECT_THAT(history_.Check(), IsEmpty());
}

TEST_F(HistoryTest, OfTwoAtOnceEitherMayBeLeft) {
  const Id one = Write("1");
  // The second write begins and ends while the first is under way.
  Acknowledged("2");
  history_.Ended(one, Outcome::kOk);
  history_.FinallyRead("a", "k", "1");
  EXPECT_THAT(history_.Check(), IsEmpty());
}

TEST_F(HistoryTest, SeesAValueThatNobodyWrote) {
  history_.Ended(history_.Began({.kind = Kind::kWrite, .key = "k", .value = "1"}),
                 Outcome::kNotExecuted);
  // The caller was told that this write was not executed, so no node may have its value.
  history_.FinallyRead("a", "k", "1");
  history_.FinallyRead("a", "k", "2");
  EXPECT_THAT(history_.Check(),
              ElementsAre(HasSubstr("\"1\", which nobody"), HasSubstr("\"2\", which nobody")));
}

// ---- registers; their search has its own tests

TEST_F(HistoryTest, ReadsFindWhatWasWrittenLast) {
  Found(std::nullopt);
  Acknowledged("1");
  Found("1");
  history_.Ended(Write("2"), Outcome::kUnknown);
  // The write of 2, whose end is unknown, has not taken effect yet, or never will.
  Found("1");
  Found("2");  // now it has taken effect
  EXPECT_THAT(history_.Check(), IsEmpty());
  // A read has found 2, so no later read may find 1 again.
  Found("1");
  EXPECT_THAT(history_.Check(),
              ElementsAre(HasSubstr("found \"1\", which no order of the operations on k allows")));
}

TEST_F(HistoryTest, KeysAreApart) {
  Acknowledged("1");
  const Id other = history_.Began({.kind = Kind::kRead, .key = "other"});
  history_.Executed(other, "a");
  history_.Ended(other, Outcome::kOk, std::nullopt);
  EXPECT_THAT(history_.Check(), IsEmpty());
}

TEST_F(HistoryTest, AWriteThatNobodyExecutedIsNotFound) {
  const Id never = history_.Began({.kind = Kind::kWrite, .key = "k", .value = "7"});
  history_.Ended(never, Outcome::kUnknown);
  EXPECT_THAT(history_.Check(), IsEmpty());
  Found("7");
  history_.FinallyRead("a", "k", "7");
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("which nobody wrote"),
                                            HasSubstr("found \"7\", which no order")));
}

TEST_F(HistoryTest, WhatIsLeftIsReadBehindAllThatWasRead) {
  history_.Ended(Write("7"), Outcome::kUnknown);
  Found("7");  // it was there before 8 began, so it cannot come once more
  Acknowledged("8");
  history_.FinallyRead("a", "k", "8");
  EXPECT_THAT(history_.Check(), IsEmpty());
  history_.FinallyRead("b", "k", "7");
  EXPECT_THAT(history_.Check(),
              ElementsAre(HasSubstr("node b has \"7\" in the end, which no order")));
}

TEST_F(HistoryTest, WhatIsTooMuchToCheckIsNotRight) {
  std::vector<Id> ids;
  // Forty writes at once have 40! orders. The search gives up, and must not call such a history
  // right.
  for (int i = 0; i < 40; ++i) ids.push_back(Write(std::to_string(i)));
  for (const Id id : ids) history_.Ended(id, Outcome::kOk);
  Acknowledged("last");
  Found("0");
  EXPECT_THAT(history_.Check(), ElementsAre(HasSubstr("too many at once")));
}

}  // namespace
}  // namespace weft::test
