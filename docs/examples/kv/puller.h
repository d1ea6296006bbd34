// Pulls changes from one other node, again and again: everything after a loss of memory, later only
// missed changes. Pulls at once when that node has come up.
//
// Threads  any
// Owns     a thread
// Ends     with the destructor, which waits for a stream under way; stop the node before
#ifndef WEFT_EXAMPLES_KV_PULLER_H_
#define WEFT_EXAMPLES_KV_PULLER_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "replica.h"
#include "weft/rpc/node.h"

namespace weft::examples::kv {

class Puller {
 public:
  // `lives_only`: ignores entries.
  Puller(Node& node, NodeReplica& replica, std::string other, bool lives_only);
  ~Puller();

  const std::string& other() const { return other_; }
  // Pulls at once.
  void Wake();

 private:
  void Run();
  absl::Status PullOnce();

  Node& node_;
  NodeReplica& replica_;
  const std::string other_;
  const bool lives_only_;
  // The other node's life that was pulled from last, and the last of its changes received.
  uint64_t of_life_ = 0;
  uint64_t after_ = 0;
  std::mutex mu_;
  std::condition_variable wake_;
  bool woken_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_PULLER_H_
