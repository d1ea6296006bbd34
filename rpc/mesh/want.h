// How many members a broadcast, or a wait for a cluster, needs.
//
//   Want::All()       each member
//   Want::Majority()  more than half of the members, including this node, reachable or not
//   Want::First()     one
//   Want::AtLeast(k)  k members
//   Want::Each()      each member, and nothing ends before the last answer has come
//
// Threads  value, trivially destructible
#ifndef WEFT_RPC_MESH_WANT_H_
#define WEFT_RPC_MESH_WANT_H_

#include <cstdint>

#include "weft/core/requirements.h"

namespace weft {

class Want {
 public:
  enum class Kind : uint8_t { kAll, kMajority, kFirst, kAtLeast, kEach };

  static constexpr Want All() { return Want(Kind::kAll, 0); }
  static constexpr Want Majority() { return Want(Kind::kMajority, 0); }
  static constexpr Want First() { return Want(Kind::kFirst, 1); }
  static constexpr Want AtLeast(int count) { return Want(Kind::kAtLeast, count); }
  static constexpr Want Each() { return Want(Kind::kEach, 0); }

  constexpr Kind kind() const { return kind_; }
  // The number needed among `members`.
  constexpr int CountOf(int members) const {
    switch (kind_) {
      case Kind::kAll:
      case Kind::kEach:
        return members;
      case Kind::kMajority:
        return members / 2 + 1;
      case Kind::kFirst:
      case Kind::kAtLeast:
        break;
    }
    return count_;
  }

 private:
  constexpr Want(Kind kind, int count) : kind_(kind), count_(count) {}

  Kind kind_;
  int count_;
};

// The part of the calling node in its own broadcast.
enum class Self : uint8_t {
  kUnsaid,        // as kLeftOut; an error with Majority, where it makes a difference
  kCall,          // it is called like the others, without a socket
  kCountsItself,  // it is not called, and counts as one that has answered well
  kLeftOut,       // it is not called, and does not count; with Majority it remains a member
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_WANT_H_
