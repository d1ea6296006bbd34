// A node of the store with all its parts, from start to stop.
//
// Threads  any: node; the rest its owner's
// Owns     the node, its services and their threads
// Errors   Start: INVALID_ARGUMENT for fewer than 3 members; else as Node's
// Ends     the destructor stops the node
#ifndef WEFT_EXAMPLES_KV_STORE_NODE_H_
#define WEFT_EXAMPLES_KV_STORE_NODE_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator.h"
#include "puller.h"
#include "replica.h"
#include "send_behind.h"
#include "up_peers.h"
#include "weft/rpc/node.h"

namespace weft::examples::kv {

struct StoreNodeOptions {
  // The node's name, addresses and membership. Its listener is replaced by the store's.
  NodeOptions node = {};
  // Number of members of the cluster; fixed; 3 or more.
  int members = 3;
  // The cluster begins: this node has had no memory to lose.
  bool first = false;
  // Answers writes first and sends them to the others later. Loses writes.
  bool no_quorum = false;
  // A planted fault: the node takes itself for whole at once, and ignores the others' entries.
  bool forgetful = false;
};

class StoreNode {
 public:
  static absl::StatusOr<std::unique_ptr<StoreNode>> Start(StoreNodeOptions options);
  ~StoreNode();

  Node& node() { return *node_; }

 private:
  StoreNode(std::string name, int members) : up_(std::move(name), members) {}
  absl::Status Open(StoreNodeOptions options);
  void OnEvent(const NodeEvent& event);

  UpPeers up_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<NodeReplica> replica_;
  std::unique_ptr<SendBehind> behind_;
  std::unique_ptr<Coordinator> coordinator_;
  std::mutex mu_;  // guards pullers_, which events wake
  std::vector<std::unique_ptr<Puller>> pullers_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_STORE_NODE_H_
