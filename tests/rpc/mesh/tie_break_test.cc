// The rule by which two nodes choose between their connections. Connections are written as {dialled
// by the smaller name, its number, the last dial of the other end when it answered}.
#include "weft/rpc/mesh/tie_break.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

TEST(TieBreak, OfTwoThatCrossedTheSmallerNamesStays) {
  const PairConnection x{true, 1, 1}, y{false, 1, 1};
  EXPECT_TRUE(BreakTie(x, y).first_stays);
  EXPECT_FALSE(BreakTie(y, x).first_stays);
  EXPECT_EQ(BreakTie(x, y).other, Beaten::kCrossed);
}

TEST(TieBreak, ADialAfterAnAnswerProvesThatTheAnsweredOneIsLost) {
  const PairConnection x{true, 1, 4};
  const PairConnection y{false, 5, 1};  // B dials number 5, which X's answer did not know
  EXPECT_TRUE(BreakTie(y, x).first_stays);
  EXPECT_FALSE(BreakTie(x, y).first_stays);
  EXPECT_EQ(BreakTie(x, y).other, Beaten::kLost);
  // A dials again after it has answered y: then A has lost y in turn.
  const PairConnection later{true, 2, 5};
  EXPECT_TRUE(BreakTie(later, y).first_stays);
  EXPECT_EQ(BreakTie(later, y).other, Beaten::kLost);
}

TEST(TieBreak, OfOneDialerTheLaterStays) {
  const PairConnection first{false, 3, 0}, second{false, 4, 0};
  EXPECT_TRUE(BreakTie(second, first).first_stays);
  EXPECT_FALSE(BreakTie(first, second).first_stays);
  EXPECT_EQ(BreakTie(first, second).other, Beaten::kLost);
}

TEST(TieBreak, IsTheSameAtBothEndsWhateverTheNumbers) {
  // Among these numbers are some that honest nodes cannot have. The ends must agree even then.
  for (uint64_t x = 1; x <= 3; ++x) {
    for (uint64_t q = 0; q <= 3; ++q) {
      for (uint64_t y = 1; y <= 3; ++y) {
        for (uint64_t p = 0; p <= 3; ++p) {
          const PairConnection a{true, x, q}, b{false, y, p};
          EXPECT_NE(BreakTie(a, b).first_stays, BreakTie(b, a).first_stays);
          EXPECT_EQ(BreakTie(a, b).other, BreakTie(b, a).other);
        }
      }
    }
  }
}

// Two nodes that dial one another, in every order of what can happen: each may dial so often, and
// some connections may break so that one end alone hears of it.
class Pair {
 public:
  using Stays = std::function<bool(const PairConnection& candidate, const PairConnection& held)>;

  Pair(int dials, int losses, Stays stays) : dials_(dials), stays_(std::move(stays)) {
    state_.losses = losses;
  }

  void Walk() {
    // Orders that lead to the same state go on alike from there.
    if (!seen_.insert(Key()).second) return;
    const State before = state_;
    bool any = false;
    for (const std::function<bool()>& event : Events()) {
      if (event()) {
        any = true;
        Walk();
      }
      state_ = before;
    }
    if (!any) Judge();
  }

  size_t states() const { return seen_.size(); }
  int ends() const { return ends_; }
  int bad_ends() const { return bad_ends_; }

 private:
  enum Word : uint8_t { kHello, kAnswer, kBeaten };
  struct Connection {
    int dialer;
    PairConnection facts;
    bool broken = false;
    std::vector<Word> to[2];  // under way to each node
  };
  struct Node {
    uint64_t last_dial = 0;
    uint64_t highest_heard = 0;
    int held = -1;
    int dialling = -1;
  };
  struct State {
    Node nodes[2];  // 0: the smaller name
    std::vector<Connection> connections;
    int losses = 0;  // that may still come
  };

  std::string Key() const {
    std::string key = absl::StrCat(state_.losses);
    for (const Node& n : state_.nodes) {
      absl::StrAppend(&key, "|", n.last_dial, ",", n.highest_heard, ",", n.held, ",", n.dialling);
    }
    for (const Connection& c : state_.connections) {
      absl::StrAppend(&key, "|", c.dialer, ",", c.facts.number, ",", c.facts.answered_after, ",",
                      c.broken);
      for (const auto& words : c.to) {
        absl::StrAppend(&key, ";");
        for (const Word w : words) absl::StrAppend(&key, static_cast<int>(w));
      }
    }
    return key;
  }

  // Each changes the state and says true, or cannot happen.
  std::vector<std::function<bool()>> Events() {
    std::vector<std::function<bool()>> events;
    for (int n = 0; n < 2; ++n) {
      events.push_back([this, n] { return Dial(n); });
      for (size_t c = 0; c < state_.connections.size(); ++c) {
        events.push_back([this, n, c] { return Hear(n, c); });
        events.push_back([this, n, c] { return Lose(n, c); });
      }
    }
    return events;
  }

  bool Wants(const Node& node) const { return node.held < 0 && node.dialling < 0; }

  bool Dial(int n) {
    Node& node = state_.nodes[n];
    if (!Wants(node) || node.last_dial == static_cast<uint64_t>(dials_)) return false;
    node.dialling = static_cast<int>(state_.connections.size());
    Connection c{};
    c.dialer = n;
    // The third number is known when the other end answers.
    c.facts = {n == 0, ++node.last_dial, 0};
    c.to[1 - n].push_back(kHello);
    state_.connections.push_back(std::move(c));
    return true;
  }

  bool Hear(int n, size_t index) {
    Connection& c = state_.connections[index];
    if (c.broken || c.to[n].empty()) return false;
    Node& node = state_.nodes[n];
    const Word word = c.to[n].front();
    c.to[n].erase(c.to[n].begin());
    switch (word) {
      case kHello:
        // Connections overtake each other: this Hello is older than one that came before.
        if (c.facts.number <= node.highest_heard) {
          c.to[1 - n].push_back(kBeaten);
          return true;
        }
        node.highest_heard = c.facts.number;
        c.facts.answered_after = node.last_dial;
        c.to[1 - n].push_back(kAnswer);
        Choose(n, static_cast<int>(index));
        return true;
      case kAnswer:
        node.dialling = -1;
        Choose(n, static_cast<int>(index));
        return true;
      case kBeaten:
        if (node.held == static_cast<int>(index)) node.held = -1;
        if (node.dialling == static_cast<int>(index)) node.dialling = -1;
        return true;
    }
    return false;
  }

  // Node n knows both Hellos of `candidate`.
  void Choose(int n, int candidate) {
    int& held = state_.nodes[n].held;
    if (held < 0 || stays_(state_.connections[static_cast<size_t>(candidate)].facts,
                           state_.connections[static_cast<size_t>(held)].facts)) {
      // After the swap `candidate` is the one that goes; -1 where none was held.
      std::swap(held, candidate);
    }
    if (candidate >= 0) {
      state_.connections[static_cast<size_t>(candidate)].to[1 - n].push_back(kBeaten);
    }
  }

  // Node n hears that it is over; the other one never does.
  bool Lose(int n, size_t index) {
    Node& node = state_.nodes[n];
    if (state_.losses == 0) return false;
    const int c = static_cast<int>(index);
    // A connection that the node has given up already can no more be lost.
    if (node.held != c && node.dialling != c) return false;
    --state_.losses;
    state_.connections[index].broken = true;
    (node.held == c ? node.held : node.dialling) = -1;
    return true;
  }

  void Judge() {
    ++ends_;
    const Node &a = state_.nodes[0], &b = state_.nodes[1];
    // Nothing more can happen, so a node that holds a broken connection holds it for ever.
    if (a.held != b.held || a.held < 0 || state_.connections[static_cast<size_t>(a.held)].broken) {
      ++bad_ends_;
    }
  }

  const int dials_;
  const Stays stays_;
  State state_;
  std::set<std::string> seen_;
  int ends_ = 0, bad_ends_ = 0;
};

bool ByRule(const PairConnection& candidate, const PairConnection& held) {
  return BreakTie(candidate, held).first_stays;
}

TEST(TieBreakWalk, EveryOrderEndsWithOneConnectionTheSameAtBothEnds) {
  // A node needs a dial more than there are losses. Two losses that nobody hears of can leave both
  // ends waiting: silence is what the heartbeat is for.
  for (int losses = 0; losses <= 1; ++losses) {
    for (int dials = losses + 1; dials <= 4; ++dials) {
      Pair pair(dials, losses, ByRule);
      pair.Walk();
      EXPECT_EQ(pair.bad_ends(), 0) << dials << " dials each, losses: " << losses;
      EXPECT_GT(pair.ends(), 0);
    }
  }
}

// The walk can fail: rules that look as good leave the two ends with different connections.
TEST(TieBreakWalk, ShowsWhatIsWrongWithSimplerRules) {
  // The smaller name's dial always stays. After a loss the end that dials anew may be the other.
  Pair smaller(3, /*losses=*/1, [](const PairConnection& candidate, const PairConnection&) {
    return candidate.dialled_by_smaller;
  });
  smaller.Walk();
  EXPECT_GT(smaller.bad_ends(), 0);
  // Each end stays with the connection that it has, and may have got it before the other end.
  Pair keep(3, /*losses=*/1, [](const PairConnection&, const PairConnection&) { return false; });
  keep.Walk();
  EXPECT_GT(keep.bad_ends(), 0);
}

}  // namespace
}  // namespace weft::internal
