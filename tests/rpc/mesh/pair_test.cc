// The connections between two nodes as one of them sees them: which one is held, left or closed,
// and the peer's state. Sessions are numbers here: this node's from 1 on, the peer's from 101 on.
#include "weft/rpc/mesh/pair.h"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/default_protocols.h"

namespace weft::internal {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kPeers = 7001;  // the peer's incarnation

// The link of a session that is up. It takes no calls; a test says of which method some are under
// way.
class FakeLink final : public CallLink {
 public:
  explicit FakeLink(EventLoop& loop) : loop_(loop) {}
  StartResult TryStart(OutboundCall&, absl::Status*) override { return StartResult::kGone; }
  void StopStarting() override {}
  EventLoop& loop() const override { return loop_; }
  ConnectedPeer connected_peer() const override { return {}; }
  ConnectionVolume Volume() override { return {}; }
  void CancelCall(uint64_t) override {}
  bool IsUnderWay(std::string_view method) override { return method == under_way.Get(); }

  Watched<std::string> under_way;  // the method of its calls

 private:
  EventLoop& loop_;
};

class FakeGauge final : public ConnectionGauge {
 public:
  ConnectionVolume Volume() override { return {}; }
};

// The calls that wait for a link of the pair.
class FakeRoom final : public LinkObserver {
 public:
  void OnLink() override { ++links; }
  void OnNoLink(const absl::Status& why, NoLink) override { no_link = why; }
  std::atomic<int> links{0};
  absl::Status no_link;
};

// A server's part that only writes down what it is asked for.
class FakeNodeLoop final : public NodeLoop {
 public:
  uint64_t NumberDialled(const std::string&) override { return ++last; }
  void AdoptDialled(uint64_t id, const Protocol&, SessionSeed seed) override {
    dialled.Update([&](auto& all) { all.emplace_back(id, seed.own); });
  }
  void Leave(uint64_t id, const absl::Status&, Nanos) override {
    left.Update([&](std::vector<uint64_t>& all) { all.push_back(id); });
  }
  void Close(uint64_t id, CloseReason, const absl::Status&) override {
    closed.Update([&](std::vector<uint64_t>& all) { all.push_back(id); });
  }
  void SetMayPause(uint64_t, bool) override {}
  void Probe(uint64_t, std::function<void()>) override {}

  uint64_t last = 0;
  Watched<std::vector<std::pair<uint64_t, HelloFacts>>> dialled;
  Watched<std::vector<uint64_t>> left, closed;
};

class FakeHost final : public PairHost {
 public:
  void OnDialled(const SessionRef&, const std::shared_ptr<Pair>&) override {}
  void OnPeerState(const PeerInfo& peer) override { states.push_back(peer.state); }
  void OnWrongNode(const Pair&, const absl::Status&) override { ++wrong_nodes; }
  void OnDuplicateName(const absl::Status&) override {}

  std::vector<PeerState> states;  // on the loop only
  std::atomic<int> wrong_nodes{0};
};

// Node "a" and its peer "b", which a test plays.
class PairTest : public testing::Test {
 protected:
  PairTest() {
    auto listening =
        network_->Listen("b", clock_, [](std::unique_ptr<Transport>, const std::string&) {});
    // Dials succeed; the peer's Hello and answers are the test's.
    listener_ = *std::move(listening);
    io_.loop = thread_.shared_loop();
    loops_->Add(0, io_, part_);
    settings_->node = "a";
    settings_->incarnation = 1;
    // The peer may have two connections; only the first slot is dialled until it has said how many
    // it wishes.
    settings_->slots = 2;
    auto dialing = std::make_shared<SlotDialerOptions>();
    dialing->dialer.network = network_;
    dialing->protocol = DefaultProtocols().front();
    dialing->limit = std::chrono::seconds(3);
    pair_ = std::make_shared<Pair>("b", Pair::Around{loops_, settings_, dialing, &host_}, 1);
    pair_->Begin();
    pair_->links().Watch(&room_);
  }
  ~PairTest() override {
    pair_->Retire();
    thread_.Settle();
    // The part goes last: tasks of the dialers, which ran above, may still ask for it.
    thread_.Run([this] { loops_->Gone(0); });
  }

  void OnLoop(const std::function<void()>& act) { thread_.Run(act); }
  void Join(const std::string& address = "inproc:b") {
    OnLoop([&] { pair_->Join(address); });
  }
  // Time passes until the pair has dialled so often.
  uint64_t Dialled(size_t count) {
    EXPECT_TRUE(PollUntil([&] {
      thread_.Advance(std::chrono::milliseconds(50));
      return part_.dialled.Get().size() >= count;
    }));
    return part_.dialled.Get().at(count - 1).first;
  }
  HelloFacts Hello(uint64_t number, uint32_t slot = 0) {
    HelloFacts hello;
    hello.node = "b";
    hello.incarnation = kPeers;
    hello.dial_number = number;
    hello.slot = slot;
    hello.slots = 2;
    return hello;
  }
  void Up(uint64_t id) {
    links_[id] = std::make_shared<FakeLink>(thread_.loop());
    OnLoop([&] { pair_->OnUp({0, id}, links_[id], std::make_shared<FakeGauge>()); });
  }
  // The peer has dialled, and its session is up.
  // `asked`: the number of another process's session, which does not live.
  absl::Status Accept(uint64_t id, const HelloFacts& hello, uint64_t asked = 0) {
    absl::Status s;
    OnLoop([&] { s = pair_->Accept({0, id}, hello, 1, asked, &answer_); });
    if (s.ok()) Up(id);
    return s;
  }
  void Answer(uint64_t id, uint64_t last_dial) {
    // An answer has no dial number of its own.
    HelloFacts hello = Hello(0);
    hello.last_dial = last_dial;
    OnLoop([&] { pair_->OnAnswered({0, id}, hello, 1); });
    Up(id);
  }
  void End(uint64_t id, const absl::Status& why) {
    OnLoop([&] { pair_->OnEnded({0, id}, why); });
  }
  bool HasLink() {
    absl::Status why;
    return pair_->links().Pick({}, &why).link != nullptr;
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create();
  std::unique_ptr<InProcessListener> listener_;
  IoThread io_;
  FakeNodeLoop part_;
  FakeHost host_;
  FakeRoom room_;
  std::shared_ptr<MeshLoops> loops_ = std::make_shared<MeshLoops>();
  std::shared_ptr<PairSettings> settings_ = std::make_shared<PairSettings>();
  std::shared_ptr<Pair> pair_;
  HelloFacts answer_;
  std::map<uint64_t, std::shared_ptr<FakeLink>> links_;
};

TEST_F(PairTest, SaysWhoItIsAndWhomItWants) {
  Join();
  Dialled(1);
  const HelloFacts own = part_.dialled.Get()[0].second;
  EXPECT_EQ(own.node, "a");
  EXPECT_EQ(own.wanted_node, "b");
  EXPECT_EQ(own.dial_number, 1u);
  EXPECT_EQ(own.incarnation, 1u);
  EXPECT_EQ(own.slots, 2u);
}

TEST_F(PairTest, DialsTheOtherSlotsWhenThePeerHasSaidHowManyItWishes) {
  Join();
  Answer(Dialled(1), 0);
  Dialled(2);
  EXPECT_EQ(part_.dialled.Get()[1].second.slot, 1u);
}

TEST_F(PairTest, AHelloWhoseSlotOrNumberCannotBeIsRefused) {
  Join();
  ASSERT_TRUE(Accept(101, Hello(5)).ok());
  EXPECT_THAT(Accept(102, Hello(5)).ToString(), HasSubstr("dial number 5"));
  // A number that does not rise is an old Hello that was repeated, or comes from an older process.
  EXPECT_THAT(Accept(103, Hello(4)).ToString(), HasSubstr("dial number 4"));
  EXPECT_THAT(Accept(104, Hello(0)).ToString(), HasSubstr("dial number 0"));
  EXPECT_THAT(Accept(105, Hello(9, /*slot=*/2)).ToString(), HasSubstr("connection 2"));
  // The refused ones leave nothing behind.
  EXPECT_EQ(pair_->Info().connections.size(), 1u);
  EXPECT_EQ(pair_->state(), PeerState::kUp);
}

TEST_F(PairTest, OfTwoThatCrossedTheOneOfTheSmallerNameStaysAndTheOtherIsLeft) {
  Join();
  const uint64_t own = Dialled(1);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  // The answer tells b that a had dialled before.
  EXPECT_EQ(answer_.last_dial, 1u);
  // b had dialled before it answered this one: the two crossed.
  Answer(own, /*last_dial=*/1);
  EXPECT_TRUE(part_.left.WaitForValue({101}));
  EXPECT_TRUE(HasLink());
}

TEST_F(PairTest, Case03ALaterDialProvesThatTheOneHeldIsLost) {
  Join();
  Answer(Dialled(1), 0);
  // b has answered that one, and dials all the same.
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  EXPECT_TRUE(part_.closed.WaitForValue({1}));
  // Closed, not left: calls on a connection that b has lost never end.
  EXPECT_TRUE(part_.left.Get().empty());
  EXPECT_TRUE(HasLink());
}

TEST_F(PairTest, AnotherIncarnationHasARivalInTheOneThatIsHeld) {
  Join();
  EXPECT_EQ(pair_->Rival(kPeers + 1).id, 0u);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  // The same process is no rival of itself.
  EXPECT_EQ(pair_->Rival(kPeers).id, 0u);
  const SessionRef rival = pair_->Rival(kPeers + 1);
  EXPECT_EQ(rival.id, 101u);
}

TEST_F(PairTest, AProcessThatWasNotAskedKeepsItsPlace) {
  Join();
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  HelloFacts another = Hello(1);
  another.incarnation = kPeers + 1;
  EXPECT_THAT(Accept(102, another).ToString(),
              testing::AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("another process")));
  EXPECT_EQ(pair_->Info().incarnation, kPeers);
  EXPECT_TRUE(part_.closed.Get().empty());
  // Now session 101 has been asked and did not answer: its process is dead, and the new one takes
  // its place.
  EXPECT_TRUE(Accept(102, another, /*asked=*/101).ok());
  EXPECT_TRUE(part_.closed.WaitForValue({101}));
  EXPECT_EQ(pair_->Info().incarnation, kPeers + 1);
}

// This node wishes for two connections, and the peer for one.
TEST_F(PairTest, CallsWithAnOrderGoOverTheConnectionsThatThereAre) {
  Join();
  HelloFacts hello = Hello(1);
  hello.slots = 1;
  ASSERT_TRUE(Accept(101, hello).ok());
  // Odd numbers: the low bit says that there is a hash.
  for (uint64_t hash = 1; hash < 20; hash += 2) {
    absl::Status why;
    EXPECT_NE(pair_->links().Pick({.hash = hash}, &why).link, nullptr) << hash;
  }
}

TEST_F(PairTest, Case05ACallWithAnOrderWaitsForThoseOfItsMethodOnTheConnectionBefore) {
  Join();
  const uint64_t own = Dialled(1);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  links_[101]->under_way.Set("a.B/Say");
  const auto pick = [&](std::string_view method) {
    absl::Status why;
    CallLink* const link = pair_->links().Pick({.hash = 1, .ordered = method}, &why).link;
    EXPECT_TRUE(why.ok()) << why;
    return link;
  };
  // Session 101 is the one connection so far, with a call of the method on it.
  EXPECT_EQ(pick("a.B/Say"), links_[101].get());
  Answer(own, /*last_dial=*/1);
  // The two crossed. The calls of 101 finish there, and new ones use the other.
  ASSERT_TRUE(part_.left.WaitForValue({101}));
  const int told = room_.links;
  EXPECT_EQ(pick("a.B/Say"), nullptr);
  EXPECT_EQ(pick("a.B/Other"), links_[own].get());
  EXPECT_EQ(pick(""), links_[own].get()) << "calls without an order do not wait";
  // The last call of the method ends; the session tells so on its loop.
  links_[101]->under_way.Set("");
  OnLoop([&] { pair_->links().TellOfEnds(); });
  EXPECT_EQ(room_.links, told + 1);
  OnLoop([&] { pair_->links().TellOfEnds(); });
  EXPECT_EQ(room_.links, told + 1) << "nobody waits any more";
  EXPECT_EQ(pick("a.B/Say"), links_[own].get());

  links_[101]->under_way.Set("a.B/Say");
  EXPECT_EQ(pick("a.B/Say"), nullptr);
  End(101, absl::UnavailableError("closed"));
  // The end of a connection tells those that waited for its calls.
  EXPECT_EQ(room_.links, told + 2);
  EXPECT_EQ(pick("a.B/Say"), links_[own].get());
}

TEST_F(PairTest, Case05AConnectionThatStaysComesByAWayOfAHigherRank) {
  Join();
  const uint64_t own = Dialled(1);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  Answer(own, /*last_dial=*/1);
  const auto first = pair_->WayOf({0, 101}), second = pair_->WayOf({0, own});
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  // One order for both: the process at the other end is the same.
  EXPECT_EQ(first->node, second->node);
  EXPECT_LT(first->rank, second->rank);
  // This one crossed, too, and comes up when the one that beats it is there.
  ASSERT_TRUE(Accept(102, Hello(2, /*slot=*/1)).ok());
  EXPECT_EQ(pair_->WayOf({0, 102})->slot, 1u);
  End(101, absl::UnavailableError("closed"));
  End(own, absl::UnavailableError("reset"));
  // All sessions of the old process have ended before the new one comes.
  End(102, absl::UnavailableError("reset"));
  HelloFacts another = Hello(1);
  another.incarnation = kPeers + 1;
  ASSERT_TRUE(Accept(103, another).ok());
  EXPECT_NE(pair_->WayOf({0, 103})->node, first->node) << "another process";
}

TEST_F(PairTest, ASessionThatThePeerLeavesIsNotUsedAndAnotherIsMade) {
  Join();
  Answer(Dialled(1), 0);
  OnLoop([&] { pair_->OnGoingAway({0, 1}, absl::UnavailableError("stopping")); });
  EXPECT_FALSE(HasLink());
  EXPECT_TRUE(part_.left.Get().empty()) << "its calls still come over it";
  Dialled(2);
}

TEST_F(PairTest, Case01APeerThatLeavesOneForTheOtherIsNeverDownMeanwhile) {
  Join();
  const uint64_t own = Dialled(1);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  // b has chosen the one that this node dials, and its answer is still under way.
  OnLoop([&] { pair_->OnGoingAway({0, 101}, absl::UnavailableError("another stays")); });
  EXPECT_FALSE(HasLink());
  Answer(own, /*last_dial=*/1);
  EXPECT_TRUE(HasLink());
  OnLoop([&] { EXPECT_EQ(host_.states, std::vector<PeerState>{PeerState::kUp}); });
}

TEST_F(PairTest, ADialThatFailsAfterThePeerHasLeftTheOtherOneSaysThatItIsDown) {
  Join();
  const uint64_t own = Dialled(1);
  ASSERT_TRUE(Accept(101, Hello(1)).ok());
  OnLoop([&] { pair_->OnGoingAway({0, 101}, absl::UnavailableError("another stays")); });
  End(own, absl::UnavailableError("connection reset"));
  EXPECT_EQ(pair_->state(), PeerState::kDown);
}

TEST_F(PairTest, Case21AfterSixHoursItDialsAtMostOnceInTenSecondsAndHasSaidSoOnce) {
  Join("inproc:nobody");
  // 6 hours, a minute at a time: the backoff grows to its bound within the first few.
  for (int i = 0; i < 6 * 60; ++i) thread_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(pair_->state(), PeerState::kDown);
  OnLoop([&] { EXPECT_EQ(host_.states, std::vector<PeerState>{PeerState::kDown}); });
  EXPECT_LE(pair_->Info().dials, 6u * 60 + 100) << "the clock moves in minutes: one dial in each";
}

TEST_F(PairTest, CallsWaitForTheFirstAttemptsAndEndThenWithTheReason) {
  Join("inproc:nobody");
  thread_.Advance(std::chrono::milliseconds(1));
  absl::Status why;
  EXPECT_EQ(pair_->links().Pick({}, &why).link, nullptr);
  EXPECT_TRUE(PollUntil([&] {
    thread_.Advance(std::chrono::seconds(1));
    why = absl::OkStatus();
    pair_->links().Pick({}, &why);
    return !why.ok();
  }));
  // One failed attempt may be a peer that restarts.
  EXPECT_GE(pair_->Info().failures, 2u);
  EXPECT_THAT(why.ToString(), HasSubstr("peer b is down"));
  why = absl::OkStatus();
  // A call that waits for the peer gets no reason to end.
  pair_->links().Pick({.wait_for_ready = true}, &why);
  EXPECT_TRUE(why.ok());
}

// ---- every state and what may happen to it

// Brings a pair into each of its states, and lets every event happen there.
class PairWalk : public PairTest {
 protected:
  // Session 101 is the peer's where there is one.
  void Reach(PeerState state) {
    // Where nobody listens dials fail by themselves.
    Join(state == PeerState::kDown || state == PeerState::kRefused ? "inproc:nobody" : "inproc:b");
    switch (state) {
      case PeerState::kConnecting:
        break;
      case PeerState::kUp:
        ASSERT_TRUE(Accept(101, Hello(1)).ok());
        break;
      case PeerState::kSuspect:
        ASSERT_TRUE(Accept(101, Hello(1)).ok());
        OnLoop([&] { pair_->OnSuspect({0, 101}, true); });
        break;
      case PeerState::kDown:
        ASSERT_TRUE(PollUntil([&] {
          thread_.Advance(std::chrono::milliseconds(10));
          return pair_->state() == PeerState::kDown;
        }));
        break;
      case PeerState::kRefused:
        // At this address a dial succeeds, so the test can end its session with a refusal.
        OnLoop([&] { pair_->Move("inproc:b"); });
        End(Dialled(1), absl::FailedPreconditionError("another cluster"));
        break;
      case PeerState::kLeft:
        OnLoop([&] { pair_->Leave(absl::UnavailableError("left")); });
        break;
    }
    ASSERT_EQ(pair_->state(), state);
  }

  const std::map<std::string, std::function<void()>> events_ = {
      {"Hello", [this] { (void)Accept(102, Hello(2)); }},
      {"goaway",
       [this] {
         OnLoop([&] { pair_->OnGoingAway({0, 101}, absl::UnavailableError("stopping")); });
       }},
      {"silence", [this] { OnLoop([&] {
                             pair_->OnSuspect({0, 101}, true);
                           }); }},
      {"close", [this] { End(101, absl::UnavailableError("connection reset")); }},
      {"leave", [this] { OnLoop([&] { pair_->Leave(absl::UnavailableError("left")); }); }},
      {"new address", [this] { OnLoop([&] { pair_->Move("inproc:elsewhere"); }); }},
  };
};

struct Step {
  PeerState from;
  std::string event;
  PeerState to;
};

class PairWalkOf : public PairWalk, public testing::WithParamInterface<Step> {};

TEST_P(PairWalkOf, EndsWhereItShould) {
  const Step& step = GetParam();
  Reach(step.from);
  if (HasFatalFailure()) return;
  events_.at(step.event)();
  EXPECT_EQ(pair_->state(), step.to) << PeerStates::Name(pair_->state());
  EXPECT_EQ(HasLink(), step.to == PeerState::kUp || step.to == PeerState::kSuspect);
}

std::vector<Step> AllSteps() {
  using enum PeerState;
  const std::vector<std::string> events = {"Hello", "goaway", "silence",
                                           "close", "leave",  "new address"};
  // A row for each state, a column for each event in the order of `events`.
  const std::map<PeerState, std::vector<PeerState>> to = {
      {kConnecting, {kUp, kConnecting, kConnecting, kConnecting, kLeft, kConnecting}},
      {kUp, {kUp, kDown, kSuspect, kDown, kLeft, kUp}},
      {kSuspect, {kUp, kDown, kSuspect, kDown, kLeft, kSuspect}},
      {kDown, {kUp, kDown, kDown, kDown, kLeft, kDown}},
      {kRefused, {kUp, kRefused, kRefused, kRefused, kLeft, kRefused}},
      {kLeft, {kLeft, kLeft, kLeft, kLeft, kLeft, kLeft}},
  };
  std::vector<Step> steps;
  for (const auto& [from, ends] : to) {
    for (size_t i = 0; i < events.size(); ++i) steps.push_back({from, events[i], ends[i]});
  }
  return steps;
}

std::string NameOf(const testing::TestParamInfo<Step>& info) {
  std::string name = absl::StrCat(std::string(PeerStates::Name(info.param.from)), "_");
  for (const char c : info.param.event) name += c == ' ' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(StateAndEvent, PairWalkOf, testing::ValuesIn(AllSteps()), NameOf);

TEST_F(PairWalk, OneThatHasLeftComesBack) {
  Reach(PeerState::kLeft);
  Join();
  EXPECT_EQ(pair_->state(), PeerState::kConnecting);
  Answer(Dialled(1), 0);
  EXPECT_EQ(pair_->state(), PeerState::kUp);
}

}  // namespace
}  // namespace weft::internal
