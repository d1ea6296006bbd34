// How many threads of a pool wait for peers that do not read: at most half of them, of one thread
// that one.
//
// Threads  any; TryBegin and End around the waiting
#ifndef WEFT_CORE_PEER_WAITS_H_
#define WEFT_CORE_PEER_WAITS_H_

#include <atomic>

#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD PeerWaits {
 public:
  explicit PeerWaits(int threads) : max_(threads > 1 ? threads / 2 : 1) {}

  // False: so many wait already.
  bool TryBegin() {
    if (count_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
    End();
    return false;
  }
  void End() { count_.fetch_sub(1, std::memory_order_relaxed); }
  int count() const { return count_.load(std::memory_order_relaxed); }
  int max() const { return max_; }

 private:
  const int max_;
  std::atomic<int> count_{0};
};

}  // namespace weft::internal

#endif  // WEFT_CORE_PEER_WAITS_H_
