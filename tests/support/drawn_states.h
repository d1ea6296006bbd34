// The transitions of states that a header's first comment draws, and those that code allows: a test
// compares the two, so that the drawing stays true.
//
//   kOpen, kClosed ──why──► kDropped ──why──► kGone
//
// Each state before an arrow goes to each state behind it. A line counts when it has an arrow, and
// a `k` begins it and every state.
//
// Threads  values
#ifndef WEFT_TESTS_SUPPORT_DRAWN_STATES_H_
#define WEFT_TESTS_SUPPORT_DRAWN_STATES_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weft::test {

// Pairs of states: from, to.
using Transitions = std::set<std::pair<std::string, std::string>>;

// Returns the transitions that the first comment of `header` draws, as "rpc/call/stream_inbox.h",
// between the states of `names`.
Transitions DrawnIn(const std::string& header, const std::vector<std::string>& names);
// The same of a text.
Transitions DrawnInText(const std::string& text, const std::vector<std::string>& names);

// Returns the transitions that `may_go` allows. `names`: the states' names, in the order of their
// enum.
template <typename State>
Transitions Allowed(const std::vector<std::string>& names, bool (*may_go)(State, State)) {
  Transitions allowed;
  for (size_t from = 0; from < names.size(); ++from) {
    for (size_t to = 0; to < names.size(); ++to) {
      if (may_go(static_cast<State>(from), static_cast<State>(to))) {
        allowed.emplace(names[from], names[to]);
      }
    }
  }
  return allowed;
}

}  // namespace weft::test

#endif  // WEFT_TESTS_SUPPORT_DRAWN_STATES_H_
