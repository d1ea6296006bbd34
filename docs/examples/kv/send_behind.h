// Sends entries to the other nodes after their writes were answered, in batches, for --no-quorum.
// Entries not sent yet are lost if the node dies.
//
// Threads  any
// Owns     a thread
// Ends     with the destructor, which drops unsent entries
#ifndef WEFT_EXAMPLES_KV_SEND_BEHIND_H_
#define WEFT_EXAMPLES_KV_SEND_BEHIND_H_

#include <condition_variable>
#include <mutex>
#include <thread>

#include "kv.weft.h"
#include "weft/rpc/node.h"

namespace weft::examples::kv {

class SendBehind {
 public:
  explicit SendBehind(Node& node);
  ~SendBehind();

  void Add(const Entry& entry);

 private:
  void Run();

  Node& node_;
  std::mutex mu_;
  std::condition_variable wake_;
  bool ending_ = false;
  PutRequest batch_;
  std::thread thread_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_SEND_BEHIND_H_
