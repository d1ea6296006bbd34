#include "weft/rpc/mesh/quorum_count.h"

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"

namespace weft {

absl::StatusOr<QuorumCount> QuorumCount::For(Want want, Self self, int others, bool member) {
  const bool majority = want.kind() == Want::Kind::kMajority;
  const bool counts = self == Self::kCall || self == Self::kCountsItself;
  if (counts && !member) {
    return absl::FailedPreconditionError(
        "this node is to be called or to count itself, and is not among the members");
  }
  // The default is refused where it would change the result: a majority without this node's own
  // answer needs one more of the others.
  if (majority && member && self == Self::kUnsaid) {
    return absl::InvalidArgumentError(
        "a majority counts this node among the members: say whether it is called (Self::kCall), "
        "counts itself (Self::kCountsItself) or does not answer (Self::kLeftOut)");
  }
  // A majority counts this node among the members even if it takes no part. Other wants count it
  // only if it answers.
  const bool left_out = majority && member && !counts;
  const int members = others + (counts || left_out ? 1 : 0);
  const int needed = want.CountOf(members);
  if (want.kind() == Want::Kind::kAtLeast && needed < 1) {
    return absl::InvalidArgumentError(absl::StrCat("AtLeast(", needed, "): at least 1 is needed"));
  }
  const int most = members - (left_out ? 1 : 0);
  if (needed > most) {
    return absl::FailedPreconditionError(absl::StrCat(
        needed, " answers are wanted, and only ", most, " of ", members, " members can give one"));
  }
  return QuorumCount(members, needed, self == Self::kCountsItself ? 1 : 0, left_out ? 1 : 0,
                     want.kind() == Want::Kind::kEach);
}

QuorumCount::QuorumCount(int members, int needed, int ok, int left_out, bool hears_all)
    : members_(members),
      needed_(needed),
      ok_(ok),
      left_out_(left_out),
      hears_all_(hears_all),
      outcome_(Outcome::kOpen) {
  Decide();
}

QuorumCount::Outcome QuorumCount::CountOk() {
  WEFT_DCHECK(open() > 0);
  ++ok_;
  return Decide();
}

QuorumCount::Outcome QuorumCount::CountFailure() {
  WEFT_DCHECK(open() > 0);
  ++failed_;
  return Decide();
}

QuorumCount::Outcome QuorumCount::CountSkip() {
  WEFT_DCHECK(open() > 0);
  ++skipped_;
  return Decide();
}

QuorumCount::Outcome QuorumCount::Decide() {
  // The first outcome stays: ends that come later are counted and change nothing.
  if (outcome_ != Outcome::kOpen || (hears_all_ && open() > 0)) return outcome_;
  if (ok_ >= needed_) {
    outcome_ = Outcome::kReached;
  } else if (ok_ + open() < needed_) {
    outcome_ = Outcome::kHopeless;
  }
  return outcome_;
}

}  // namespace weft
