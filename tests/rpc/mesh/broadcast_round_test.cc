// Broadcasts to targets whose calls end when the test says: every order of ends, and what is made
// of them.
#include "weft/rpc/mesh/broadcast_round.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/support/held_target.h"
#include "weft/rpc/broadcast.h"

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const auto& kEcho = EchoService::kEcho;

EchoReply ReplyOf(std::string text, int64_t number = 0) {
  EchoReply reply;
  reply.set_text(std::move(text));
  reply.set_number(number);
  return reply;
}

// `others` members beside this one, "b", "c" and so on; this one is "a".
class Group final : public BroadcastTargets {
 public:
  explicit Group(int others) {
    auto set = std::make_shared<PeerSet>();
    for (int i = 0; i <= others; ++i) targets_.push_back(std::make_shared<HeldTarget>());
    for (int i = 0; i < others; ++i) {
      set->others.push_back({std::string(1, static_cast<char>('b' + i)), targets_[At(i)]});
    }
    set->own_name = "a";
    set->is_member = true;
    set->self = targets_.back();
    set_ = std::move(set);
  }
  std::shared_ptr<const PeerSet> Snapshot() const override { return set_; }
  HeldTarget& operator[](int peer) { return *targets_[At(peer)]; }
  HeldTarget& self() { return *targets_.back(); }

 private:
  static size_t At(int i) { return static_cast<size_t>(i); }
  std::vector<std::shared_ptr<HeldTarget>> targets_;
  std::shared_ptr<const PeerSet> set_;
};

using Result = BroadcastResult<EchoReply>;

class BroadcastTest : public ::testing::Test {
 protected:
  void Begin(Group& group, const BroadcastOptions& options) {
    BroadcastAsync(group, kEcho, request_, options, [this](Result r) { Add(std::move(r)); });
  }
  void Begin(Group& group, const BroadcastOptions& options, Reducer<EchoReply>& reducer) {
    BroadcastAsync(group, kEcho, request_, options, reducer,
                   [this](Result r) { Add(std::move(r)); });
  }
  void Add(Result result) {
    ++results_;
    result_ = std::move(result);
  }
  StatusCode code() const { return result_.has_value() ? result_->status.code() : kNone; }
  std::string text() const {
    return result_.has_value() ? std::string(result_->status.message()) : "";
  }
  // Ends what is under way, as cancelled calls do.
  static void EndAll(Group& group, int others) {
    for (int i = 0; i < others; ++i) {
      if (group[i].under_way()) group[i].Fail(absl::CancelledError("it was cancelled"));
    }
    if (group.self().under_way()) group.self().Fail(absl::CancelledError("it was cancelled"));
  }

  // A code that no result has: there is none yet.
  static constexpr StatusCode kNone = static_cast<StatusCode>(99);
  EchoRequest request_;
  std::optional<Result> result_;
  int results_ = 0;
};

// Every want, every order of the ends of four peers, each of them good or bad.
TEST_F(BroadcastTest, EndsOnceAndAsSoonAsItsOutcomeIsCertain) {
  constexpr int kPeers = 4;
  const Want wants[] = {Want::All(),      Want::First(),    Want::AtLeast(2),
                        Want::AtLeast(3), Want::Majority(), Want::Each()};
  for (const Want want : wants) {
    for (const Self self : {Self::kLeftOut, Self::kCountsItself}) {
      for (int good = 0; good < 1 << kPeers; ++good) {
        std::vector<int> order = {0, 1, 2, 3};
        // All 24 orders of four ends, each good or bad: 16 combinations, 6 wants, with and without
        // this node.
        do {
          Group group(kPeers);
          results_ = 0;
          result_.reset();
          // A second count, kept beside the round's: it says when the outcome has to be certain.
          QuorumCount count = *QuorumCount::For(want, self, kPeers, true);
          Begin(group, {.want = want, .self = self});
          for (const int peer : order) {
            const bool open = count.outcome() == QuorumCount::Outcome::kOpen;
            ASSERT_EQ(results_, open ? 0 : 1);
            // Calls go on just as long as their ends can change the outcome.
            ASSERT_EQ(group[peer].under_way() && !group[peer].cancelled(), open);
            // The round has cancelled it, or has never started it.
            if (!group[peer].under_way()) continue;
            if ((good >> peer & 1) != 0) {
              group[peer].Reply(ReplyOf("yes"));
              if (open) count.CountOk();
            } else {
              group[peer].Fail(absl::UnavailableError("no"));
              if (open) count.CountFailure();
            }
          }
          ASSERT_EQ(results_, 1);
          ASSERT_EQ(result_->status.ok(), count.outcome() == QuorumCount::Outcome::kReached);
          ASSERT_EQ(result_->ok, count.ok());
          ASSERT_EQ(result_->failed, count.failed());
          for (int i = 0; i < kPeers && group[i].started() > 0; ++i) {
            const PeerReply<EchoReply>& peer = result_->peers[static_cast<size_t>(i)];
            ASSERT_EQ(peer.reply.ok(), peer.end == PeerEnd::kOk);
          }
        } while (std::next_permutation(order.begin(), order.end()));
      }
    }
  }
}

TEST_F(BroadcastTest, SaysWhatEachHasSaid) {
  Group group(3);
  Begin(group, {.want = Want::AtLeast(2), .self = Self::kCall});
  group[1].Fail(absl::NotFoundError("no such key"));
  group.self().Reply(ReplyOf("mine"));
  group[0].Reply(ReplyOf("bs"));
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(result_->status, absl::OkStatus());
  ASSERT_EQ(result_->peers.size(), 4u);
  EXPECT_EQ(result_->peers[0].name, "b");
  EXPECT_EQ(result_->peers[0].reply->text(), "bs");
  EXPECT_EQ(result_->peers[1].end, PeerEnd::kFailed);
  EXPECT_EQ(result_->peers[1].reply.status().code(), StatusCode::kNotFound);
  // Two answers were enough, so d had not ended.
  EXPECT_EQ(result_->peers[2].end, PeerEnd::kOpen);
  EXPECT_EQ(result_->peers[2].reply.status().code(), StatusCode::kCancelled);
  EXPECT_EQ(result_->Find("a")->reply->text(), "mine");
  EXPECT_EQ(result_->Find("z"), nullptr);
  EXPECT_EQ(result_->members, 4);
  EXPECT_EQ(result_->needed, 2);
  EXPECT_TRUE(group[2].cancelled());
  // Cancelled legs end later. A second result, or memory that has gone, would show here.
  EndAll(group, 3);
  EXPECT_EQ(results_, 1);
}

// 5 members, 3 of them out of reach: two of the two that can be reached are no majority.
TEST_F(BroadcastTest, Case19AMajorityIsOneOfTheMembersNotOfThoseWhoAnswer) {
  Group group(4);
  Begin(group, {.want = Want::Majority(), .self = Self::kCall});
  group.self().Reply(ReplyOf("here"));
  group[0].Reply(ReplyOf("here"));
  EXPECT_EQ(results_, 0);
  group[1].Fail(absl::UnavailableError("partitioned away"));
  group[2].Fail(absl::UnavailableError("partitioned away"));
  EXPECT_EQ(results_, 0);
  group[3].Fail(absl::UnavailableError("partitioned away"));
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kUnavailable);
  EXPECT_THAT(text(), HasSubstr("2 of 5 answered, 3 needed: c: partitioned away; d: "));
}

TEST_F(BroadcastTest, WhoIsSkippedRemainsAMember) {
  Group group(4);
  Begin(group, {.want = Want::Majority(), .self = Self::kCountsItself, .slow = Slow::kSkip});
  group[0].Refuse();
  group[1].Refuse();
  group[2].Reply(ReplyOf("here"));
  EXPECT_EQ(results_, 0);
  // Two of five have answered. Without this refusal e could still have made the third.
  group[3].Refuse();
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(result_->skipped, 3);
  EXPECT_EQ(result_->failed, 0);
  EXPECT_EQ(result_->peers[0].end, PeerEnd::kSkipped);
  // A skipped peer was sent nothing.
  EXPECT_FALSE(result_->peers[0].may_have_been_executed);
}

TEST_F(BroadcastTest, WithoutSkippingWhoHasNoRoomFails) {
  Group group(2);
  // All are wanted if nothing is said.
  Begin(group, {});
  group[1].Refuse();
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(result_->failed, 1);
  EndAll(group, 2);
}

TEST_F(BroadcastTest, OnlyThoseWhoWaitAreToldToWaitForRoom) {
  Group group(1);
  for (const Slow slow : {Slow::kFail, Slow::kSkip, Slow::kWait}) Begin(group, {.slow = slow});
  EXPECT_FALSE(group[0].options[0].wait_for_room);
  EXPECT_FALSE(group[0].options[1].wait_for_room);
  EXPECT_TRUE(group[0].options[2].wait_for_room);
  for (size_t i = 0; i < 3; ++i) group[0].Reply(ReplyOf(""), i);
}

TEST_F(BroadcastTest, WhatCannotBeWantedEndsAtOnceAndCallsNobody) {
  Group group(2);
  Begin(group, {.want = Want::AtLeast(9), .self = Self::kCall});
  EXPECT_EQ(code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(text(), HasSubstr("weft.test.EchoService/Echo: 9 answers are wanted, and only 3"));
  // A majority must know what this node does itself.
  Begin(group, {.want = Want::Majority()});
  EXPECT_EQ(code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(results_, 2);
  EXPECT_EQ(group[0].started() + group[1].started() + group.self().started(), 0u);
}

TEST_F(BroadcastTest, AGroupHasItsOwnMajority) {
  Group group(5);
  const PeerSet some = group.Snapshot()->Only({"c", "e", "a", "nobody"});
  Begin(group, {.want = Want::Majority(), .to = &some, .self = Self::kCountsItself});
  // The names b, d and f are not in the group. "nobody" is no member, and is not counted.
  EXPECT_EQ(group[0].started() + group[2].started() + group[4].started(), 0u);
  group[1].Reply(ReplyOf("c"));
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(result_->status, absl::OkStatus());
  EXPECT_EQ(result_->members, 3);
  group[3].Fail(absl::CancelledError("it was cancelled"));
  // This node is not in the group, and cannot count itself there.
  const PeerSet without = group.Snapshot()->Only({"c", "e"});
  EXPECT_EQ(without.members(), 2);
  Begin(group, {.want = Want::Majority(), .to = &without, .self = Self::kCountsItself});
  EXPECT_EQ(code(), StatusCode::kFailedPrecondition);
}

TEST_F(BroadcastTest, TheRestRunsOnAndIsCounted) {
  Group group(4);
  Begin(group, {.want = Want::First(), .let_rest_run = true});
  // The outcome is certain with one reply; the three others run on.
  group[2].Reply(ReplyOf("first"));
  ASSERT_EQ(results_, 1);
  const std::shared_ptr<const RestOfBroadcast> rest = result_->rest;
  ASSERT_NE(rest, nullptr);
  EXPECT_EQ(rest->under_way, 3);
  for (const int i : {0, 1, 3}) EXPECT_FALSE(group[i].cancelled());
  group[0].Reply(ReplyOf("late"));
  group[1].Fail(absl::UnavailableError("no"));
  EXPECT_EQ(rest->under_way, 1);
  EXPECT_EQ(rest->ok, 1);
  EXPECT_EQ(rest->failed, 1);
  group[3].Reply(ReplyOf("late"));
  EXPECT_EQ(rest->under_way, 0);
  // The result and this test hold the rest, and nobody else.
  EXPECT_EQ(rest.use_count(), 2) << "the round is still there";
  EXPECT_EQ(results_, 1);
}

TEST_F(BroadcastTest, ALargeRequestIsSerializedOnceForAll) {
  Group group(3);
  request_.set_payload(std::string(100'000, 'x'));
  Begin(group, {});
  ASSERT_NE(group[0].shared.at(0), nullptr);
  EXPECT_EQ(group[0].shared[0], group[1].shared.at(0));
  EXPECT_EQ(group[0].shared[0], group[2].shared.at(0));
  EXPECT_EQ(group[2].requests[0], request_.SerializeAsString());
  for (int i = 0; i < 3; ++i) group[i].Reply(ReplyOf(""));
  // The targets keep shares of their own for the test; one is left to count.
  group[1].shared.clear();
  group[2].shared.clear();
  EXPECT_EQ(group[0].shared[0].use_count(), 1) << "it is kept after the last call has ended";
}

TEST_F(BroadcastTest, ASmallRequestIsTheSameForAll) {
  Group group(3);
  request_.set_text("small");
  Begin(group, {.self = Self::kCall});
  const std::string bytes = request_.SerializeAsString();
  // The legs must have their own bytes: the caller's message may change as soon as the broadcast
  // has begun.
  request_.Clear();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(group[i].requests, ElementsAre(bytes));
  EXPECT_THAT(group.self().requests, ElementsAre(bytes));
  EndAll(group, 3);
}

// ---- cancelling

TEST_F(BroadcastTest, IsCancelledByItsContext) {
  Group group(2);
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("tenant", "blue").ok());
  Begin(group, {.context = &context});
  EXPECT_EQ(group[0].metadata.at(0).Get("tenant"), "blue");
  EXPECT_EQ(group[1].metadata.at(0).Get("tenant"), "blue");
  group[0].Reply(ReplyOf("yes"));
  context.Cancel();
  EXPECT_EQ(results_, 0) << "it has ended inside the call that cancels it";
  EXPECT_TRUE(group[1].cancelled());
  EndAll(group, 2);
  EXPECT_EQ(code(), StatusCode::kCancelled);
  // The reply that came before the cancelling still counts.
  EXPECT_THAT(text(), HasSubstr("cancelled by the caller; 1 of 2 had answered"));
  EXPECT_TRUE(context.may_have_been_executed());
}

TEST_F(BroadcastTest, OneThatWasCancelledBeforeCallsNobody) {
  Group group(2);
  ClientContext context;
  context.Cancel();
  Begin(group, {.context = &context});
  EXPECT_EQ(code(), StatusCode::kCancelled);
  EXPECT_EQ(group[0].started(), 0u);
}

// ---- reducers

TEST_F(BroadcastTest, NewestIsTheHighestOfThoseWaitedFor) {
  Group group(4);
  Newest<EchoReply, int64_t> newest([](const EchoReply& r) { return r.number(); });
  Begin(group, {.want = Want::Majority(), .self = Self::kCall}, newest);
  group[0].Reply(ReplyOf("old", 3));
  group.self().Reply(ReplyOf("newest", 9));
  group[3].Reply(ReplyOf("new", 5));
  ASSERT_EQ(results_, 1);
  ASSERT_NE(newest.In(*result_), nullptr);
  EXPECT_EQ(newest.In(*result_)->text(), "newest");
  EXPECT_EQ(newest.peer(), "a");
  // The reply that came last has a lower number.
  EXPECT_EQ(newest.version(), 9);
  EndAll(group, 4);
}

TEST_F(BroadcastTest, AgreedWaitsForEqualReplies) {
  Group group(4);
  Agreed<EchoReply> agreed;
  Begin(group, {.want = Want::AtLeast(2)}, agreed);
  group[0].Reply(ReplyOf("x"));
  group[1].Reply(ReplyOf("y"));
  EXPECT_EQ(results_, 0) << "two have answered, and do not agree";
  group[2].Reply(ReplyOf("y"));
  ASSERT_EQ(results_, 1);
  ASSERT_NE(agreed.In(*result_), nullptr);
  EXPECT_EQ(agreed.In(*result_)->text(), "y");
  EXPECT_TRUE(group[3].cancelled());
  EndAll(group, 4);
}

TEST_F(BroadcastTest, AgreedKnowsEarlyThatNobodyWill) {
  Group group(4);
  Agreed<EchoReply> agreed([](const EchoReply& r) { return absl::StrCat(r.number() % 10); });
  Begin(group, {.want = Want::AtLeast(3)}, agreed);
  // By the function's key 1 and 11 are equal, and 2 is not.
  group[0].Reply(ReplyOf("x", 1));
  group[1].Reply(ReplyOf("y", 11));
  group[2].Reply(ReplyOf("z", 2));
  EXPECT_EQ(results_, 0);
  group[3].Reply(ReplyOf("z", 2));
  ASSERT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kAborted);
  EXPECT_THAT(text(), HasSubstr("4 have given 2 different replies, 2 of 4 the same one, 3 needed"));
  EXPECT_EQ(agreed.In(*result_), nullptr);

  // The second broadcast has the call number 1 at each target. With two of four gone, three equal
  // replies cannot come.
  Agreed<EchoReply> again;
  Begin(group, {.want = Want::AtLeast(3)}, again);
  group[0].Fail(absl::UnavailableError("no"), 1);
  group[1].Fail(absl::UnavailableError("no"), 1);
  ASSERT_EQ(results_, 2);
  EXPECT_EQ(code(), StatusCode::kUnavailable);
  group[2].Fail(absl::CancelledError(""), 1);
  group[3].Fail(absl::CancelledError(""), 1);
}

TEST_F(BroadcastTest, FoldMakesOneOfThemAll) {
  Group group(3);
  // The sum begins with 100, and a failed peer adds nothing.
  Fold<EchoReply, int64_t> sum(100, [](int64_t& all, const EchoReply& r) { all += r.number(); });
  Begin(group, {.want = Want::Each()}, sum);
  group[2].Reply(ReplyOf("", 1));
  group[0].Fail(absl::UnavailableError("no"));
  group[1].Reply(ReplyOf("", 2));
  EXPECT_EQ(results_, 1);
  EXPECT_EQ(sum.value(), 103);
}

TEST_F(BroadcastTest, AFunctionDecides) {
  Group group(3);
  std::vector<std::string> seen;
  Decide<EchoReply> decide([&](const PeerReply<EchoReply>& peer, const QuorumCount& count) {
    seen.push_back(absl::StrCat(peer.name, count.ok(), count.failed()));
    // The want says that the first answer is enough; the function overrules it in both directions.
    if (peer.reply.ok() && peer.reply->text() == "veto") return Step::kFail;
    return absl::IsNotFound(peer.reply.status()) ? Step::kDone : Step::kContinue;
  });
  Begin(group, {.want = Want::First()}, decide);
  group[0].Reply(ReplyOf("yes"));
  EXPECT_EQ(results_, 0) << "the count has decided";
  group[2].Fail(absl::NotFoundError("there is none"));
  EXPECT_EQ(results_, 1);
  EXPECT_EQ(result_->status, absl::OkStatus());
  EXPECT_THAT(seen, ElementsAre("b10", "d11"));
  EndAll(group, 3);
  // The ends of cancelled calls are not shown to the function.
  EXPECT_EQ(seen.size(), 2u);

  Begin(group, {.want = Want::First()}, decide);
  group[1].Reply(ReplyOf("veto"), 1);
  EXPECT_EQ(results_, 2);
  EXPECT_FALSE(result_->status.ok());
  group[0].Fail(absl::CancelledError(""), 1);
  group[2].Fail(absl::CancelledError(""), 1);
}

TEST_F(BroadcastTest, OneThatGoesOnToTheEndFails) {
  Group group(2);
  // The function has nothing more to wait for when all have ended.
  Decide<EchoReply> decide([](const auto&, const auto&) { return Step::kContinue; });
  Begin(group, {}, decide);
  group[0].Reply(ReplyOf("yes"));
  group[1].Reply(ReplyOf("yes"));
  EXPECT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kUnavailable);
}

TEST_F(BroadcastTest, AReducerThatThrowsFailsItsBroadcast) {
  Group group(2);
  Decide<EchoReply> decide(
      [](const auto&, const auto&) -> Step { throw std::runtime_error("by the test"); });
  Begin(group, {}, decide);
  group[0].Reply(ReplyOf("yes"));
  EXPECT_EQ(results_, 1);
  EXPECT_EQ(code(), StatusCode::kInternal);
  EXPECT_TRUE(group[1].cancelled());
  EndAll(group, 2);
}

TEST_F(BroadcastTest, ACallbackThatThrowsHarmsNobody) {
  Group group(1);
  BroadcastAsync(group, kEcho, request_, {},
                 [](Result) { throw std::runtime_error("by the test"); });
  group[0].Reply(ReplyOf("yes"));
  EXPECT_FALSE(group[0].under_way());
}

// ---- one by one

TEST_F(BroadcastTest, GivesTheRepliesInTheOrderInWhichTheyCome) {
  Group group(3);
  BroadcastCall<EchoReply> call =
      BroadcastStart(group, kEcho, request_, {.want = Want::AtLeast(2)});
  PeerReply<EchoReply> one;
  std::vector<std::string> told;
  const auto next = [&] {
    call.NextAsync(&one, [&](bool more) { told.push_back(more ? one.name : "over"); });
  };
  next();
  EXPECT_TRUE(told.empty());
  group[1].Fail(absl::NotFoundError("no"));
  EXPECT_THAT(told, ElementsAre("c"));
  EXPECT_EQ(one.reply.status().code(), StatusCode::kNotFound);
  // Nobody asks for this reply yet, so it waits.
  group[2].Reply(ReplyOf("ds"));
  next();
  EXPECT_EQ(one.reply->text(), "ds");
  next();
  group[0].Reply(ReplyOf("bs"));
  next();
  // Failures count among what comes. At the end there is nothing more, which is told once asked.
  EXPECT_THAT(told, ElementsAre("c", "d", "b", "over"));
  EXPECT_EQ(call.Finish().status, absl::OkStatus());
}

TEST_F(BroadcastTest, GivesTheRestWhereItRunsOn) {
  Group group(3);
  BroadcastCall<EchoReply> call =
      BroadcastStart(group, kEcho, request_, {.want = Want::First(), .let_rest_run = true});
  for (int i = 0; i < 3; ++i) group[i].Reply(ReplyOf(absl::StrCat(i)));
  PeerReply<EchoReply> one;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(call.Next(&one));
    EXPECT_EQ(one.reply->text(), absl::StrCat(i));
  }
  EXPECT_FALSE(call.Next(&one));
  const Result all = call.Finish();
  EXPECT_EQ(all.status, absl::OkStatus());
  EXPECT_EQ(all.ok, 3);
}

TEST_F(BroadcastTest, DestroyedItCancelsAndTellsWhoWaits) {
  Group group(2);
  std::vector<bool> told;
  PeerReply<EchoReply> one;
  {
    BroadcastCall<EchoReply> call = BroadcastStart(group, kEcho, request_, {});
    call.NextAsync(&one, [&](bool more) { told.push_back(more); });
    EXPECT_TRUE(told.empty());
  }
  // The callback runs inside the destructor, and not again when the cancelled calls end.
  EXPECT_THAT(told, ElementsAre(false));
  EXPECT_TRUE(group[0].cancelled());
  EXPECT_TRUE(group[1].cancelled());
  EndAll(group, 2);
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(BroadcastTest, ARestThatRunsOutlivesItsHolder) {
  Group group(2);
  {
    BroadcastCall<EchoReply> call =
        BroadcastStart(group, kEcho, request_, {.want = Want::First(), .let_rest_run = true});
    group[0].Reply(ReplyOf("yes"));
  }
  // The round lives on without its holder until the last call has ended.
  EXPECT_FALSE(group[1].cancelled());
  group[1].Reply(ReplyOf("late"));
}

}  // namespace
}  // namespace weft::test
