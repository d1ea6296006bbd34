// Decides which of two connections between the same two nodes stays.
//
// Both ends decide alike, from four numbers that both have after the handshakes; no clock and no
// order of arrival takes part. A is the node with the smaller name, B the other.
//
//   X: dialled by A as number x, answered by B, whose last dial to A had been number q
//   Y: dialled by B as number y, answered by A, whose last dial to B had been number p
//
//   y > q: B dialled Y after it had answered X. A node dials only while it holds no connection,
//          so B has lost X. Y stays
//   x > p: in the same way, A has lost Y. X stays
//   else:  the two crossed. X stays, because the smaller name dialled it
//
// Of two connections with the same dialer the later one stays, for the same reason.
//
// Dial numbers rise with each dial of a node to one other node and slot, within one incarnation of
// both.
//
// Threads  value
#ifndef WEFT_RPC_MESH_TIE_BREAK_H_
#define WEFT_RPC_MESH_TIE_BREAK_H_

#include <cstdint>

#include "weft/core/requirements.h"

namespace weft::internal {

// A connection of a pair whose two Hellos both ends know.
struct PairConnection {
  bool dialled_by_smaller = false;
  // The dialer's number for the connection.
  uint64_t number = 0;
  // The other end's last dial number towards the dialer when it answered; 0: none.
  uint64_t answered_after = 0;

  bool operator==(const PairConnection&) const = default;
};

// The fate of the connection that goes.
enum class Beaten : uint8_t {
  kCrossed,  // both ends held it: what is under way on it is finished
  kLost,     // one end has lost it: what is under way on it at the other end is lost, too
};

struct TieBreak {
  bool first_stays = false;
  Beaten other = Beaten::kCrossed;
};

inline TieBreak BreakTie(const PairConnection& first, const PairConnection& second) {
  if (first.dialled_by_smaller == second.dialled_by_smaller) {
    return {first.number > second.number, Beaten::kLost};
  }
  const bool first_later = first.number > second.answered_after;
  const bool second_later = second.number > first.answered_after;
  // Both being later is impossible for honest nodes. Any answer will do, if it is the same at both
  // ends.
  if (first_later != second_later) return {first_later, Beaten::kLost};
  return {first.dialled_by_smaller, Beaten::kCrossed};
}

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_TIE_BREAK_H_
