// One node's part in every read and write: its copy, its memory, and the lives it knows. StoreNode
// owns it.
//
// Threads  any
// Owns     the copy
// Errors   of the handlers: see kv.proto
#ifndef WEFT_EXAMPLES_KV_REPLICA_H_
#define WEFT_EXAMPLES_KV_REPLICA_H_

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "kv.weft.h"
#include "lives.h"
#include "memory.h"
#include "register_store.h"

namespace weft::examples::kv {

class NodeReplica final : public Replica::Service {
 public:
  // `self`: the node's name and present life. `members`: size of the cluster, including this node.
  NodeReplica(Life self, int members, bool nothing_to_lose);

  absl::Status Put(ServerContext& call, PutRequest& request, PutReply& reply) override;
  absl::Status Get(ServerContext& call, GetRequest& request, GetReply& reply) override;
  absl::Status Pull(ServerContext& call, PullRequest& request,
                    ServerWriter<PullReply>& stream) override;

  // ---- For the coordinator of this node
  // FAILED_PRECONDITION: the memory is not whole.
  absl::Status CheckWhole() const;
  // A version that this node has never given, newer than `newest` and than its own copy's.
  Version NextVersion(const std::string& key, const Version& newest);
  void AddLivesTo(Lives::List* lives) const;
  void Take(const Entry& entry);

  // ---- For the streams from the others
  // Takes a piece of another node's stream.
  void Take(const PullReply& piece);
  // The stream of a whole node has ended.
  void Merged(const std::string& other);

  struct Numbers {
    MemoryState memory = MemoryState::kLost;
    int64_t keys = 0;
    int64_t repaired = 0;
  };
  Numbers numbers() const;
  const Life& self() const { return self_; }

 private:
  std::string WhyNotWhole() const;  // under mu_

  const Life self_;
  mutable std::mutex mu_;
  RegisterStore store_;
  Memory memory_;
  Lives lives_;
  // The last number that this life has given, by key.
  std::map<std::string, uint64_t> given_;
  int64_t repaired_ = 0;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_REPLICA_H_
