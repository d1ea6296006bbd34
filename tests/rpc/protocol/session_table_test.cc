// The table of a loop's sessions, with sessions that only note what is done to them. All of it runs
// on the loop.
#include "weft/rpc/protocol/session_table.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/drawn_states.h"
#include "tests/support/loop_thread.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using State = SessionTable::State;

const std::vector<std::string> kStates{"kOpening", "kUp", "kSuspect", "kLeaving"};

TEST(SessionTableStates, AreAsTheHeaderDrawsThem) {
  const test::Transitions drawn = test::DrawnIn("rpc/protocol/session_table.h", kStates);
  // A drawing that is not found would be empty.
  EXPECT_EQ(drawn.size(), 6u);
  EXPECT_EQ(drawn, test::Allowed<State>(kStates, SessionTable::MayGo));
}

// Notes what is done to it.
class NotingSession final : public Session {
 public:
  struct Gauge final : ConnectionGauge {
    ConnectionVolume Volume() override { return volume; }
    ConnectionVolume volume;
  };

  ~NotingSession() override {
    if (on_destroyed != nullptr) on_destroyed();
  }
  absl::Status Start(SessionStart) override { return absl::OkStatus(); }
  std::shared_ptr<CallLink> link() const override { return nullptr; }
  bool confirms_going_away() const override { return confirms; }
  void GoAway(const absl::Status&) override {}
  void CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) override {
    closed =
        absl::StrCat(static_cast<int>(reason), " ", std::string(why.message()), " ", limit.count());
  }
  void Close(CloseReason, const absl::Status&) override {}
  void Probe(std::function<void()> alive) override { probes.push_back(std::move(alive)); }
  void CancelInbound() override {}
  size_t inbound_calls() const override { return inbound; }
  const std::string& peer() const override { return name; }
  std::shared_ptr<ConnectionGauge> gauge() const override { return counts; }

  bool confirms = true;
  size_t inbound = 0;
  std::string name = "peer:1", closed;
  std::vector<std::function<void()>> probes;
  const std::shared_ptr<Gauge> counts = std::make_shared<Gauge>();
  std::function<void()> on_destroyed;
};

// A table of sessions that only note what they are asked. The destructor ends those that are left.
class SessionTableTest : public testing::Test {
 protected:
  SessionTableTest()
      : list_([this](const ConnectionEvent& event) {
          told_.push_back(
              absl::StrCat(event.id, " ", std::string(ConnectionStateName(event.state))));
        }) {
    On([this] {
      loop_.loop().AssertInLoop();
      // An odd time for last words, to know it again.
      table_ = std::make_unique<SessionTable>(loop_.loop(), list_, Nanos(7));
    });
  }
  ~SessionTableTest() override {
    On([this] {
      loop_.loop().AssertInLoop();
      for (Session* left : table_->All()) End(*left);
      table_.reset();
    });
  }
  void On(const std::function<void()>& body) { loop_.Run(body); }

  // A session that opens. `behind` is to be destroyed after it.
  NotingSession& Adopt(std::shared_ptr<const void> behind = nullptr) WEFT_LOOP_ONLY {
    const uint64_t number = list_.Add("peer:1", clock_.Now(), nullptr);
    return static_cast<NotingSession&>(
        table_->Adopt(std::make_unique<NotingSession>(), number, std::move(behind)));
  }
  // One in that state.
  NotingSession& AdoptIn(State state) WEFT_LOOP_ONLY {
    NotingSession& session = Adopt();
    if (state == State::kUp || state == State::kSuspect) table_->SetUp(session);
    if (state == State::kSuspect) table_->SetSuspect(session, true);
    if (state == State::kLeaving) table_->SetLeaving(session, CloseReason::kLocal, Why("leaves"));
    // The way into the state is not what is tested.
    told_.clear();
    return session;
  }
  void End(Session& session) WEFT_LOOP_ONLY {
    table_->Ended(session, CloseReason::kLocal, Why("over"));
  }
  static absl::Status Why(std::string text) { return absl::UnavailableError(std::move(text)); }

  ManualClock clock_;
  LoopThread loop_{clock_};
  std::vector<std::string> told_;
  ConnectionList list_;
  std::unique_ptr<SessionTable> table_ WEFT_LOOP_OWNED;
};

// The course of a simulation must not depend on where sessions lie in memory.
TEST_F(SessionTableTest, GivesThemInTheOrderOfTheirNumbers) {
  On([this] {
    loop_.loop().AssertInLoop();
    std::vector<Session*> adopted;
    // So many that a hash table's own order would hardly be theirs.
    for (int i = 0; i < 50; ++i) adopted.push_back(&AdoptIn(State::kLeaving));
    EXPECT_EQ(table_->All(), adopted);
    EXPECT_EQ(table_->LeftBy(kNever), adopted);
    std::vector<Session*> idle;
    // A session counts as idle only after several looks without a call.
    for (int look = 0; look < 100 && idle.empty(); ++look) idle = table_->LookForIdle();
    EXPECT_EQ(idle, adopted);
  });
}

// Each state × what may come. The list hears of every change, and of no other.
TEST_F(SessionTableTest, TakesWhateverComesInEachState) {
  On([this] {
    loop_.loop().AssertInLoop();
    const auto after = [this](State from, const std::function<void(Session&)>& what) {
      loop_.loop().AssertInLoop();
      NotingSession& session = AdoptIn(from);
      what(session);
      const uint64_t number = table_->number(session);
      std::vector<std::string> told = std::exchange(told_, {});
      // Numbers differ from session to session; the states are compared.
      for (std::string& line : told) line = line.substr(absl::StrCat(number, " ").size());
      told.insert(told.begin(), kStates[static_cast<size_t>(table_->state(session))]);
      End(session);
      EXPECT_EQ(told_.back(), absl::StrCat(number, " down"));
      EXPECT_FALSE(table_->Contains(session));
      return told;
    };
    const auto up = [this](Session& s) { loop_.loop().AssertInLoop(), table_->SetUp(s); };
    const auto suspect = [this](Session& s) {
      loop_.loop().AssertInLoop(), table_->SetSuspect(s, true);
    };
    const auto heard = [this](Session& s) {
      loop_.loop().AssertInLoop(), table_->SetSuspect(s, false);
    };
    const auto leaves = [this](Session& s) {
      loop_.loop().AssertInLoop();
      table_->SetLeaving(s, CloseReason::kGoAway, Why("asked to"));
    };
    const auto nothing = [](Session&) {};
    EXPECT_THAT(after(State::kOpening, up), ElementsAre("kUp", "up"));
    EXPECT_THAT(after(State::kOpening, leaves), ElementsAre("kLeaving", "going away"));
    EXPECT_THAT(after(State::kOpening, nothing), ElementsAre("kOpening"));
    EXPECT_THAT(after(State::kUp, suspect), ElementsAre("kSuspect", "suspect"));
    EXPECT_THAT(after(State::kUp, leaves), ElementsAre("kLeaving", "going away"));
    EXPECT_THAT(after(State::kUp, nothing), ElementsAre("kUp"));
    EXPECT_THAT(after(State::kSuspect, heard), ElementsAre("kUp", "up"));
    EXPECT_THAT(after(State::kSuspect, leaves), ElementsAre("kLeaving", "going away"));
    EXPECT_THAT(after(State::kSuspect, nothing), ElementsAre("kSuspect"));
    for (const auto& what : {std::function<void(Session&)>(up), {suspect}, {heard}, {leaves}}) {
      EXPECT_THAT(after(State::kLeaving, what), ElementsAre("kLeaving"));
    }
  });
}

TEST_F(SessionTableTest, KeepsTheFirstReasonToLeave) {
  On([this] {
    loop_.loop().AssertInLoop();
    NotingSession& session = AdoptIn(State::kUp);
    const MonoTime now = loop_.loop().clock().Now();
    EXPECT_TRUE(table_->SetLeaving(session, CloseReason::kLocal, Why("first")));
    EXPECT_FALSE(table_->SetLeaving(session, CloseReason::kLocal, Why("second")));
    EXPECT_EQ(table_->why(session), Why("first"));
    EXPECT_EQ(table_->since(session), now);
    EXPECT_THAT(table_->LeftBy(now), ElementsAre(&session));
    EXPECT_THAT(table_->LeftBy(now - Nanos(1)), IsEmpty());
  });
}

TEST_F(SessionTableTest, DestroysWhatHasEndedInALaterTurnAndWhatItRefersToBehindIt) {
  auto order = std::make_shared<std::vector<std::string>>();
  const auto noting = [order](const char* what) {
    // Only the deleter counts: it notes when the last share goes.
    return std::shared_ptr<const void>(order.get(),
                                       [order, what](const void*) { order->emplace_back(what); });
  };
  On([&] {
    loop_.loop().AssertInLoop();
    NotingSession& session = Adopt(noting("behind"));
    session.on_destroyed = [order] { order->emplace_back("session"); };
    table_->Ended(session, CloseReason::kLocal, Why("over"), noting("kept"));
    EXPECT_THAT(*order, IsEmpty()) << "its callbacks may be on the stack";
    EXPECT_EQ(table_->size(), 0u);
    EXPECT_EQ(session.inbound_calls(), 0u);
  });
  loop_.Settle();
  // Of the other two the order does not matter: they refer to nothing.
  ASSERT_EQ(order->size(), 3u);
  EXPECT_EQ(order->front(), "session");
}

TEST_F(SessionTableTest, SaysThatOneIsFinishedWhenItsCallsHaveEndedAndItHasConfirmed) {
  On([this] {
    loop_.loop().AssertInLoop();
    NotingSession& session = AdoptIn(State::kUp);
    session.inbound = 1;
    table_->SetLeaving(session, CloseReason::kLocal, Why("leaves"));
    // A call of the peer is under way.
    EXPECT_FALSE(table_->Finished(session, /*waited_for=*/true));
    session.inbound = 0;
    // Without a confirmation more of its calls may be on their way.
    EXPECT_FALSE(table_->Finished(session, /*waited_for=*/false));
    EXPECT_TRUE(table_->Finished(session, /*waited_for=*/true));
    table_->SetConfirmed(session);
    EXPECT_TRUE(table_->Finished(session, /*waited_for=*/false));

    NotingSession& silent = AdoptIn(State::kUp);
    silent.confirms = false;
    table_->SetLeaving(silent, CloseReason::kLocal, Why("leaves"));
    EXPECT_TRUE(table_->Finished(silent, /*waited_for=*/false)) << "it confirms nothing";

    NotingSession& opening = Adopt();
    table_->SetLeaving(opening, CloseReason::kLocal, Why("leaves"));
    EXPECT_TRUE(table_->Finished(opening, /*waited_for=*/false)) << "it has sent no call";
  });
}

TEST_F(SessionTableTest, AsksAPeerThatAnswersOnceBeforeItClosesTheConnection) {
  On([this] {
    loop_.loop().AssertInLoop();
    NotingSession& session = AdoptIn(State::kUp);
    table_->SetAnswers(session);
    table_->SetLeaving(session, CloseReason::kLocal, Why("leaves"));
    table_->SetConfirmed(session);
    // Twice, as when two calls end in one turn: the peer is asked once.
    table_->CloseFinished(session, Why("over"));
    table_->CloseFinished(session, Why("over"));
    EXPECT_EQ(session.closed, "") << "the end of a reply may be on its way";
    ASSERT_EQ(session.probes.size(), 1u);
    // The peer answers the question, so all that was sent before has come.
    session.probes[0]();
    EXPECT_THAT(session.closed, HasSubstr("over"));

    NotingSession& silent = AdoptIn(State::kUp);
    table_->SetAnswers(silent);
    table_->SetLeaving(silent, CloseReason::kLocal, Why("leaves"));
    table_->CloseFinished(silent, Why("over"));
    EXPECT_THAT(silent.closed, HasSubstr("over")) << "it has not even confirmed";

    NotingSession& other = AdoptIn(State::kUp);
    table_->SetLeaving(other, CloseReason::kLocal, Why("leaves"));
    table_->SetConfirmed(other);
    table_->CloseFinished(other, Why("over"));
    EXPECT_THAT(other.closed, HasSubstr("over"));
    // This peer does not answer such questions, so it is not asked.
    EXPECT_THAT(other.probes, IsEmpty());
  });
}

TEST_F(SessionTableTest, FindsThoseIdleThatHadNoCallsForFiveLooks) {
  On([this] {
    loop_.loop().AssertInLoop();
    // This one opens, and has a deadline of its own for that: no idle timeout ends it.
    Adopt();
    NotingSession& idle = AdoptIn(State::kUp);
    NotingSession& leaving = AdoptIn(State::kLeaving);
    NotingSession& busy = AdoptIn(State::kUp);
    busy.counts->volume.calls = 1;
    for (int look = 0; look <= IdleWatch::kLooks; ++look) {
      EXPECT_THAT(table_->LookForIdle(), IsEmpty()) << look;
    }
    EXPECT_THAT(table_->LookForIdle(), UnorderedElementsAre(&idle, &leaving));
  });
}

TEST_F(SessionTableTest, ShowsEachInTheListWithItsGauge) {
  On([this] {
    loop_.loop().AssertInLoop();
    NotingSession& session = AdoptIn(State::kUp);
    session.counts->volume.bytes_in = 41;
    const std::vector<ConnectionInfo> infos = list_.List(clock_.Now());
    ASSERT_EQ(infos.size(), 1u);
    EXPECT_EQ(infos[0].id, table_->number(session));
    EXPECT_EQ(infos[0].bytes_in, 41u);
  });
}

TEST_F(SessionTableTest, ClosesOneBehindItsOutputWithinItsLimit) {
  On([this] {
    loop_.loop().AssertInLoop();
    NotingSession& session = AdoptIn(State::kLeaving);
    table_->Close(session, Why("enough"));
    EXPECT_EQ(session.closed, absl::StrCat(static_cast<int>(CloseReason::kLocal), " enough 7"));
  });
}

TEST_F(SessionTableTest, HasRoomForThoseThatWereAskedFor) {
  On([this] {
    loop_.loop().AssertInLoop();
    EXPECT_TRUE(table_->MakeRoom(100));
    Adopt();
    EXPECT_THAT(table_->All(), testing::SizeIs(1));
  });
}

}  // namespace
}  // namespace weft::internal
