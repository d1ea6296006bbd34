// Counts the ends of a broadcast's calls until its outcome is certain.
//
//   kOpen ──needed members have answered well──► kReached
//   kOpen ──more have failed than may: failed > members - needed──► kHopeless
//
// A certain outcome does not change; later ends are still counted. Skipped members, and the node
// itself where it is left out of a majority, count as members that do not answer: they do not lower
// the number needed. With Want::Each nothing is certain before the last end.
//
// Threads  value
// Errors   For: INVALID_ARGUMENT for a want that no cluster can meet, FAILED_PRECONDITION for one
//          that these members cannot; the text has both numbers
#ifndef WEFT_RPC_MESH_QUORUM_COUNT_H_
#define WEFT_RPC_MESH_QUORUM_COUNT_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "weft/rpc/mesh/want.h"

namespace weft {

class QuorumCount {
 public:
  enum class Outcome : uint8_t { kOpen, kReached, kHopeless };

  // No members: reached.
  QuorumCount() = default;
  // `others`: members other than this node. `member`: this node is a member itself.
  static absl::StatusOr<QuorumCount> For(Want want, Self self, int others, bool member);

  // Count one end each, and return the outcome then. At most open() times in all.
  Outcome CountOk();
  Outcome CountFailure();
  Outcome CountSkip();

  Outcome outcome() const { return outcome_; }
  // Members counted, and answers needed.
  int members() const { return members_; }
  int needed() const { return needed_; }
  // Good answers, including this node if it counts itself.
  int ok() const { return ok_; }
  int failed() const { return failed_; }
  int skipped() const { return skipped_; }
  // Calls that have not ended.
  int open() const { return members_ - ok_ - failed_ - skipped_ - left_out_; }

 private:
  QuorumCount(int members, int needed, int ok, int left_out, bool hears_all);
  Outcome Decide();

  int members_ = 0, needed_ = 0;
  int ok_ = 0, failed_ = 0, skipped_ = 0, left_out_ = 0;
  bool hears_all_ = false;
  Outcome outcome_ = Outcome::kReached;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_QUORUM_COUNT_H_
