// A process of another node that calls this one, over all its connections, on whichever loops they
// are. Calls that have an order stand in one line for it.
//
// Each connection takes the place of the one before in its slot; ranks tell their order.
//
// Threads  any
// Owns     its shares of the queues that its ordered calls wait in
// Ends     lives as long as its pair, and as its calls
#ifndef WEFT_RPC_CALL_CALLING_NODE_H_
#define WEFT_RPC_CALL_CALLING_NODE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/work_share.h"

namespace weft::internal {

class WEFT_ANY_THREAD CallingNode {
 public:
  // Returns the share of its ordered calls in queue number `place`.
  std::shared_ptr<WorkShare> Share(size_t place) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    if (shares_.size() <= place) shares_.resize(place + 1);
    if (shares_[place] == nullptr) shares_[place] = std::make_shared<WorkShare>();
    return shares_[place];
  }
  // For SerialWay: the highest rank of those connections of the slot on which calls of the method
  // have come. The number behind the pointer is guarded by the code that runs the method's calls in
  // order.
  uint64_t* Highest(const void* method, size_t slot) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return &highest_[{method, slot}];
  }

 private:
  Mutex mu_;
  std::vector<std::shared_ptr<WorkShare>> shares_ WEFT_GUARDED_BY(mu_);
  std::map<std::pair<const void*, size_t>, uint64_t> highest_ WEFT_GUARDED_BY(mu_);
};

// One of a node's connections.
struct CallingWay {
  std::shared_ptr<CallingNode> node;
  size_t slot = 0;
  // Higher than the ranks of the connections of its slot whose place it has taken.
  uint64_t rank = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALLING_NODE_H_
