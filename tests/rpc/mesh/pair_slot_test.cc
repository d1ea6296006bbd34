// One slot of a pair of nodes: its states, and which of two connections it holds. A walk over all
// orders of events checks that both ends come to the same end.
#include "weft/rpc/mesh/pair_slot.h"

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/drawn_states.h"

namespace weft::internal {
namespace {

using State = PairSlot::State;

constexpr uint64_t kOne = 1001, kOther = 1002;  // incarnations

TEST(PairSlot, DialsWhereItHoldsNothing) {
  PairSlot slot;
  EXPECT_EQ(slot.BeginDial(), 1u);
  EXPECT_EQ(slot.state(), State::kDialling);
  slot.EndDial();
  EXPECT_EQ(slot.BeginDial(), 2u);
  // The peer's connection came first; this node's own dial is still under way.
  const PairSlot::Choice choice = slot.Choose({7, kOne, {false, 1, 2}});
  EXPECT_TRUE(choice.stays);
  EXPECT_EQ(choice.beaten, 0u);
  EXPECT_EQ(slot.state(), State::kHeldDialling);
  slot.EndDial();
  EXPECT_EQ(slot.state(), State::kHeld);
  EXPECT_EQ(slot.held(), 7u);
}

TEST(PairSlot, LosesOnlyWhatItHolds) {
  PairSlot slot;
  EXPECT_FALSE(slot.Lost(7));
  slot.Choose({7, kOne, {true, 1, 0}});
  EXPECT_FALSE(slot.Lost(8));
  EXPECT_TRUE(slot.Lost(7));
  EXPECT_EQ(slot.state(), State::kNone);
  EXPECT_EQ(slot.held(), 0u);
}

TEST(PairSlot, NumbersRiseWithinOneIncarnationOfThePeer) {
  PairSlot slot;
  EXPECT_TRUE(slot.Rises(kOne, 1));
  slot.Heard(kOne, 5);
  EXPECT_FALSE(slot.Rises(kOne, 5));
  EXPECT_FALSE(slot.Rises(kOne, 4));
  EXPECT_TRUE(slot.Rises(kOne, 6));
  // Another process of the peer counts from 1 again.
  EXPECT_TRUE(slot.Rises(kOther, 1));
  slot.Heard(kOther, 1);
  EXPECT_FALSE(slot.Rises(kOther, 1));
}

TEST(PairSlot, AnotherIncarnationTakesThePlaceOfTheOneThatIsHeld) {
  PairSlot slot;
  slot.Choose({7, kOne, {true, 9, 0}});
  // The newcomer's number is lower, but numbers of two processes do not compare.
  const PairSlot::Choice choice = slot.Choose({8, kOther, {true, 1, 0}});
  EXPECT_TRUE(choice.stays);
  EXPECT_EQ(choice.beaten, 7u);
  EXPECT_EQ(choice.how, Beaten::kLost);
  EXPECT_EQ(slot.held(), 8u);
  EXPECT_EQ(slot.held_incarnation(), kOther);
}

TEST(PairSlot, GoesTheWaysThatAreDrawn) {
  const std::vector<std::string> names = {"kNone", "kDialling", "kHeld", "kHeldDialling"};
  EXPECT_EQ(test::DrawnIn("rpc/mesh/pair_slot.h", names), test::Allowed(names, &PairSlot::MayGo));
}

// Two nodes that dial one another, in every order of what can happen. Each may dial so often, and
// some connections may break so that one end alone hears of it.
class Walk {
 public:
  Walk(int dials, int losses) : dials_(static_cast<uint64_t>(dials)) { state_.losses = losses; }

  void Go() {
    // Orders that lead to the same state go on alike from there.
    if (!seen_.insert(Key()).second) return;
    const World before = state_;
    bool any = false;
    for (int n = 0; n < 2; ++n) {
      any |= Try(before, [&] { return Dial(n); });
      for (size_t c = 0; c < before.connections.size(); ++c) {
        any |= Try(before, [&] { return Hear(n, c); });
        any |= Try(before, [&] { return Lose(n, c); });
      }
    }
    // Nothing more can happen: the walk has come to an end of an order.
    if (!any) Judge();
  }
  size_t states() const { return seen_.size(); }
  int ends() const { return ends_; }
  const std::vector<std::string>& bad() const { return bad_; }

 private:
  enum Word : uint8_t { kHello, kAnswer, kOver };
  struct Connection {
    int dialer = 0;
    PairConnection facts;
    bool broken = false;
    std::vector<Word> to[2];  // under way to each node
  };
  struct World {
    PairSlot nodes[2];  // 0: the smaller name
    std::vector<Connection> connections;
    int losses = 0;  // that may still come
  };

  template <typename Event>
  bool Try(const World& before, Event event) {
    const bool happened = event();
    if (happened) Go();
    state_ = before;
    return happened;
  }

  std::string Key() const {
    std::string key = absl::StrCat(state_.losses);
    for (const PairSlot& slot : state_.nodes) {
      absl::StrAppend(&key, "|", static_cast<int>(slot.state()), ",", slot.held(), ",",
                      slot.last_dial(), ",");
      // Rises tells the highest number that the slot has heard, which it does not show.
      for (uint64_t number = 1; number <= dials_; ++number) {
        absl::StrAppend(&key, slot.Rises(kOne, number) ? 1 : 0);
      }
    }
    for (const Connection& c : state_.connections) {
      absl::StrAppend(&key, "|", c.dialer, ",", c.facts.number, ",", c.facts.answered_after, ",",
                      c.broken ? 1 : 0);
      for (const auto& words : c.to) {
        absl::StrAppend(&key, ";");
        for (const Word w : words) absl::StrAppend(&key, static_cast<int>(w));
      }
    }
    return key;
  }

  bool Dial(int n) {
    PairSlot& slot = state_.nodes[n];
    if (slot.state() != State::kNone || slot.last_dial() == dials_) return false;
    Connection c;
    c.dialer = n;
    // The other end's last dial is known when it answers.
    c.facts = {n == 0, slot.BeginDial(), 0};
    c.to[1 - n].push_back(kHello);
    state_.connections.push_back(std::move(c));
    return true;
  }

  bool Hear(int n, size_t index) {
    Connection& c = state_.connections[index];
    if (c.broken || c.to[n].empty()) return false;
    PairSlot& slot = state_.nodes[n];
    const Word word = c.to[n].front();
    c.to[n].erase(c.to[n].begin());
    if (word == kHello) {
      // Connections overtake each other: an earlier Hello may come after a later one.
      if (!slot.Rises(kOne, c.facts.number)) {
        c.to[1 - n].push_back(kOver);
        return true;
      }
      slot.Heard(kOne, c.facts.number);
      c.facts.answered_after = slot.last_dial();
      c.to[1 - n].push_back(kAnswer);
      Choose(n, index);
    } else if (word == kAnswer) {
      slot.EndDial();
      Choose(n, index);
    } else {
      End(n, index);
    }
    return true;
  }

  void Choose(int n, size_t index) {
    const PairSlot::Choice choice =
        // Ids are places plus one, for 0 is no connection.
        state_.nodes[n].Choose({index + 1, kOne, state_.connections[index].facts});
    if (choice.beaten == 0) return;
    state_.connections[choice.beaten - 1].to[1 - n].push_back(kOver);
  }

  // Node n does not hold, and does not dial, this connection any more.
  void End(int n, size_t index) {
    PairSlot& slot = state_.nodes[n];
    const Connection& c = state_.connections[index];
    if (slot.Lost(index + 1)) return;
    if (c.dialer == n && slot.dials() && c.facts.number == slot.last_dial()) slot.EndDial();
  }

  // Node n hears that it is over; the other one never does.
  bool Lose(int n, size_t index) {
    const PairSlot& slot = state_.nodes[n];
    Connection& c = state_.connections[index];
    const bool dials = c.dialer == n && slot.dials() && c.facts.number == slot.last_dial();
    if (state_.losses == 0 || (slot.held() != index + 1 && !dials)) return false;
    --state_.losses;
    c.broken = true;
    End(n, index);
    return true;
  }

  void Judge() {
    ++ends_;
    const uint64_t a = state_.nodes[0].held(), b = state_.nodes[1].held();
    // A node that holds a broken connection would not find out by itself.
    if (a != b || a == 0 || state_.connections[a - 1].broken) bad_.push_back(Key());
  }

  const uint64_t dials_;
  World state_;
  std::set<std::string> seen_;
  int ends_ = 0;
  std::vector<std::string> bad_;
};

// A node needs a dial more than there are losses. Two losses that nobody hears of can leave both
// ends waiting: silence is what the heartbeat is for.
TEST(PairSlotWalk, Case01EveryOrderEndsWithOneConnectionTheSameAtBothEnds) {
  for (int losses = 0; losses <= 1; ++losses) {
    for (int dials = losses + 1; dials <= 3; ++dials) {
      Walk walk(dials, losses);
      walk.Go();
      EXPECT_TRUE(walk.bad().empty())
          << dials << " dials each, losses: " << losses << ": " << walk.bad().front();
      EXPECT_GT(walk.ends(), 0);
      EXPECT_GT(walk.states(), 10u);
    }
  }
}

}  // namespace
}  // namespace weft::internal
