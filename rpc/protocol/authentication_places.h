// Limits how many connections and calls may wait for the authenticators of one server or channel.
// All its AuthenticationQueues share one object.
//
// Threads  any
#ifndef WEFT_RPC_PROTOCOL_AUTHENTICATION_PLACES_H_
#define WEFT_RPC_PROTOCOL_AUTHENTICATION_PLACES_H_

#include <atomic>
#include <cstddef>

#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD AuthenticationPlaces {
 public:
  explicit AuthenticationPlaces(size_t max) : max_(max) {}

  // False: all are taken.
  bool TryTake() {
    // Relaxed: the number guards no memory. Questions are passed on under the queue's mutex.
    size_t taken = taken_.load(std::memory_order_relaxed);
    while (taken < max_) {
      if (taken_.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  void GiveBack() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  size_t max() const { return max_; }
  size_t taken() const { return taken_.load(std::memory_order_relaxed); }

 private:
  const size_t max_;
  std::atomic<size_t> taken_{0};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_AUTHENTICATION_PLACES_H_
