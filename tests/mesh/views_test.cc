// Nodes that have different views of their cluster, and nodes whose view changes.
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/mesh/cluster.h"
#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/mesh/view_exchange.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Refuses calls that compare views while `refuses` is set.
class Refuser final : public ClientInterceptor {
 public:
  absl::StatusOr<std::unique_ptr<Call>> Start(const ClientCallStart& start) override {
    if (!refuses || start.method != ViewExchange::kCompare.full_name) return nullptr;
    ++refused;
    return absl::InternalError("refused by the test");
  }
  std::atomic<bool> refuses{false};
  std::atomic<int> refused{0};
};

// Nodes whose time the test moves. The test sets the members of each node, with a version.
class ViewsTest : public testing::Test {
 protected:
  void StartAll(const std::vector<uint64_t>& versions) {
    cluster_ = std::make_unique<Cluster>(
        static_cast<int>(versions.size()), [&](int i, NodeOptions& options) {
          sources_.push_back(*StaticMembers::Create(cluster_->Members(), versions[i]));
          options.members = sources_.back();
          // No heartbeat comes due when the test moves time by half a minute.
          options.heartbeat = absl::Hours(1000);
          RuntimeOptions runtime;
          runtime.clock = &clock_;
          runtime.log_level = LogLevel::kError;
          runtimes_.push_back(*Runtime::Create(runtime));
          options.server.runtime = runtimes_.back();
          options.calls.interceptors = {refuser_};
          options.on_event = [this, i](const NodeEvent& event) {
            const bool differ = event.kind == NodeEvent::Kind::kViewsDiffer;
            if (!differ && event.kind != NodeEvent::Kind::kViewFailed) return;
            (differ ? said_ : failed_).Update([&](std::vector<std::string>& all) {
              all.push_back(absl::StrCat(cluster_->name(i), ": ", event.why.message()));
            });
          };
        });
    for (int i = 0; i < cluster_->size(); ++i) ASSERT_EQ(cluster_->Start(i).ToString(), "OK");
    // Dials begin a little later, and time moves here only.
    ASSERT_TRUE(PollUntil([&] {
      clock_.Advance(absl::Milliseconds(50));
      for (int i = 0; i < cluster_->size(); ++i) {
        const std::vector<PeerInfo> peers = (*cluster_)[i].peers();
        const auto is_up = [](const PeerInfo& peer) { return peer.state == PeerState::kUp; };
        if (!std::all_of(peers.begin(), peers.end(), is_up)) return false;
      }
      return true;
    }));
    for (int from = 0; from < cluster_->size(); ++from) {
      for (int to = from + 1; to < cluster_->size(); ++to) Settle(from, to);
    }
  }
  ~ViewsTest() override { cluster_ = nullptr; }
  // Returns when the calls that node `from` makes at once to node `to` have been answered: calls of
  // one connection are read in their order.
  void Settle(int from, int to) {
    Notification asked;
    runtimes_[from]->loops().At(0).loop->Post([&](TaskFate) { asked.Notify(); });
    ASSERT_TRUE(asked.Wait());
    EchoService::Stub stub(*(*cluster_)[from].To(cluster_->name(to)));
    EXPECT_TRUE(stub.Echo(RequestOf("hi")).ok());
  }
  // Moves time until `count` differences have been told, and then some more. Each is told once, so
  // no more may come.
  std::vector<std::string> Differences(size_t count) {
    EXPECT_TRUE(PollUntil([&] {
      // The step is a second longer than a difference has to last.
      clock_.Advance(absl::Seconds(31));
      return said_.Get().size() >= count;
    }));
    for (int i = 0; i < 3; ++i) clock_.Advance(absl::Seconds(31));
    std::vector<std::string> said;
    said_.Update([&](std::vector<std::string>& all) { said.swap(all); });
    return said;
  }

  ManualClock clock_;
  Watched<std::vector<std::string>> said_, failed_;
  const std::shared_ptr<Refuser> refuser_ = std::make_shared<Refuser>();
  std::vector<std::shared_ptr<Runtime>> runtimes_;
  std::vector<std::shared_ptr<StaticMembers>> sources_;
  std::unique_ptr<Cluster> cluster_;
};

TEST_F(ViewsTest, ADifferenceThatLastsIsToldOnceAtBothEnds) {
  StartAll({7, 7, 8});
  EXPECT_THAT(Differences(4),
              UnorderedElementsAre(
                  HasSubstr("a: peer c has version 8 of the view, and this node 7, for "),
                  HasSubstr("b: peer c has version 8 of the view, and this node 7, for "),
                  HasSubstr("c: peer a has version 7 of the view, and this node 8, for "),
                  HasSubstr("c: peer b has version 7 of the view, and this node 8, for ")));
}

TEST_F(ViewsTest, ANewViewIsToldToThePeers) {
  StartAll({7, 8});
  EXPECT_EQ(Differences(2).size(), 2u);
  const uint64_t epoch = (*cluster_)[1].view().epoch;
  ASSERT_TRUE(sources_[1]->Set(cluster_->Members(), 7).ok());
  EXPECT_EQ((*cluster_)[1].view().epoch, epoch + 1);
  Settle(1, 0);
  // The next difference is told anew, which shows that the two had agreed before.
  ASSERT_TRUE(sources_[0]->Set(cluster_->Members(), 9).ok());
  EXPECT_THAT(Differences(2), UnorderedElementsAre(HasSubstr("a: peer b has version 7"),
                                                   HasSubstr("b: peer a has version 9")));
}

TEST_F(ViewsTest, ADifferenceWithAPeerThatHasGoneIsNotTold) {
  StartAll({7, 8, 8});
  cluster_->Kill(0);
  for (const int other : {1, 2}) {
    ASSERT_TRUE(PollUntil([&] {
      const std::vector<PeerInfo> peers = (*cluster_)[other].peers();
      return std::any_of(peers.begin(), peers.end(), [](const PeerInfo& peer) {
        return peer.name == "a" && peer.state == PeerState::kDown;
      });
    }));
  }
  // b and c begin to differ. That difference is told, and none with a.
  ASSERT_TRUE(sources_[2]->Set(cluster_->Members(), 9).ok());
  EXPECT_THAT(Differences(2), UnorderedElementsAre(HasSubstr("b: peer c has version 9"),
                                                   HasSubstr("c: peer b has version 8")));
}

TEST_F(ViewsTest, APeerThatDidNotAnswerIsAskedAgain) {
  StartAll({7, 7});
  refuser_->refuses = true;
  ASSERT_TRUE(sources_[0]->Set(cluster_->Members(), 8).ok());
  // The peer has been asked at least once, and the call was refused.
  ASSERT_TRUE(PollUntil([&] { return refuser_->refused.load() > 0; }));
  refuser_->refuses = false;
  EXPECT_THAT(Differences(2), UnorderedElementsAre(HasSubstr("a: peer b has version 7"),
                                                   HasSubstr("b: peer a has version 8")));
}

// The version of a peer arrives when its end is known already.
TEST(ViewExchangeTest, ForgetsAPeerWhoseLastWordComesBehindItsEnd) {
  LoopThread thread;
  ViewExchange::Around around;
  around.node = "b";
  around.loop = thread.shared_loop();
  around.find = [](std::string_view) { return nullptr; };
  const auto views = std::make_shared<ViewExchange>(std::move(around));
  views->log().Take(*View::Create({{"a", "h:1"}, {"b", "h:2"}}, 7), MonoTime());
  views->OnPeer("a", PeerState::kUp);
  views->Hear("a", 7);
  thread.Settle();
  EXPECT_EQ(views->log().heard(), 1u);
  // The end of a is known now. A version that was noted from here on would never be forgotten.
  views->OnPeer("a", PeerState::kDown);
  views->Hear("a", 7);
  thread.Settle();
  EXPECT_EQ(views->log().heard(), 0u);
  thread.Run([&] {
    thread.loop().AssertInLoop();
    views->Stop();
  });
}

TEST_F(ViewsTest, OnlyMembersCompareViews) {
  StartAll({7, 7});
  ChannelOptions options;
  options.network = cluster_->network().shared_from_this();
  auto channel = Channel::Create("inproc:a", std::move(options));
  ASSERT_TRUE(channel.ok());
  ViewExchange::Version version;
  version.set_value(9);
  // The client knows the method's name and is no member.
  const auto answer = CallBlocking<ViewExchange::Version, ViewExchange::Version>(
      **channel, ViewExchange::kCompare, version, CallOptions());
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kPermissionDenied) << answer.status();
}

TEST_F(ViewsTest, Case23AWrongListIsAnEventAndLeavesTheView) {
  StartAll({7, 7});
  const NodeView before = (*cluster_)[0].view();
  EXPECT_FALSE(sources_[0]->Set({{"a", "inproc:a"}, {"a", "inproc:b"}}).ok());
  ASSERT_TRUE(failed_.WaitFor([](const auto& all) { return !all.empty(); }));
  EXPECT_THAT(failed_.Get(), ElementsAre(HasSubstr("a: member a twice, at inproc:a and inproc:b")));
  EXPECT_EQ((*cluster_)[0].view().epoch, before.epoch);
  EXPECT_TRUE((*cluster_)[0].view().view == before.view);
}

TEST_F(ViewsTest, Case23ANodeThatIsNotListedIsAMemberByItsOwnName) {
  StartAll({7, 7, 7});
  ASSERT_TRUE(sources_[0]->Set({{"b", "inproc:b"}, {"c", "inproc:c"}}).ok());
  EXPECT_EQ((*cluster_)[0].WaitUntilUp(Want::All(), absl::Seconds(30)).ToString(), "OK");
  EXPECT_EQ((*cluster_)[0].WaitUntilUp(Want::AtLeast(4), absl::Seconds(30)).code(),
            absl::StatusCode::kInvalidArgument)
      << "there are three, itself among them";
}

}  // namespace
}  // namespace weft::test
