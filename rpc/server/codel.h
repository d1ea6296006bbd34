// Finds out if a queue stands: it is never empty, however long one looks, so the waits are no
// burst.
//
// It stands when the smallest wait of an interval was over the target. While it stands a call that
// has waited for more than twice the target is given up: those behind it can still be answered in
// time. This is CoDel as Facebook's servers use it ("Fail at Scale", 2015, and folly's Codel), with
// the target of 5 ms and the interval of 100 ms of RFC 8289 as defaults.
//
// Threads  value; time comes from the caller
#ifndef WEFT_RPC_SERVER_CODEL_H_
#define WEFT_RPC_SERVER_CODEL_H_

#include <algorithm>

#include "weft/core/clock.h"

namespace weft::internal {

class CoDel {
 public:
  CoDel(Nanos target, Nanos interval) : target_(target), interval_(interval) {}

  // A call has come to a worker after waiting so long.
  void Sample(MonoTime now, Nanos wait) {
    if (now >= interval_end_) {
      stands_ = sampled_ && smallest_ > target_;
      smallest_ = wait;
      sampled_ = true;
      interval_end_ = SaturatingAdd(now, interval_);
    } else {
      smallest_ = std::min(smallest_, wait);
    }
    // This call hardly waited: the queue was empty just now.
    if (wait <= target_) stands_ = false;
  }
  bool stands() const { return stands_; }
  // A call that has waited so long is to be given up.
  bool GiveUp(Nanos wait) const { return stands_ && wait > 2 * target_; }

 private:
  const Nanos target_;
  const Nanos interval_;
  // The interval begins with its first sample.
  MonoTime interval_end_{};
  // The smallest wait of the interval so far.
  Nanos smallest_{};
  // False until an interval was whole: the first one says nothing yet.
  bool sampled_ = false;
  bool stands_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_CODEL_H_
