// Leads reads and writes of clients that call this node. StoreNode owns it.
//
// A read takes the newest entry of a majority, and writes it back unless the whole majority has it.
//
// A write goes to the leader. The leader knows the newest version of its own writes, and asks all
// nodes to take the next one unless they have a newer one: one round of calls. A leader that was
// wrong, or that leads beside another one, is refused with ABORTED. A node that does not reach the
// leader leads the write itself, after asking a majority for the newest version. Both ways are safe
// side by side.
//
// Threads  any
// Owns     nothing; node, replica, peers and sender outlive it
// Errors   of the handlers: see kv.proto
#ifndef WEFT_EXAMPLES_KV_COORDINATOR_H_
#define WEFT_EXAMPLES_KV_COORDINATOR_H_

#include <atomic>
#include <cstdint>

#include "kv.weft.h"
#include "quorum.h"
#include "replica.h"
#include "send_behind.h"
#include "up_peers.h"
#include "weft/rpc/node.h"

namespace weft::examples::kv {

class Coordinator final : public Store::Service {
 public:
  // `behind`: answers writes first, and sends them to the others later through it. Null: quorums.
  Coordinator(Node& node, NodeReplica& replica, const UpPeers& up, SendBehind* behind)
      : node_(node), replica_(replica), up_(up), behind_(behind), quorum_(node, replica) {}

  absl::Status Write(ServerContext& call, WriteRequest& request, WriteReply& reply) override;
  absl::Status Read(ServerContext& call, ReadRequest& request, ReadReply& reply) override;
  absl::Status Status(ServerContext& call, StatusRequest& request, StatusReply& reply) override;

 private:
  absl::Status WriteInOneRound(Entry& entry, absl::Duration timeout);
  absl::Status WriteInTwoRounds(Entry& entry, absl::Duration timeout);
  absl::Status WriteHere(Entry& entry);
  // Counts a refusal.
  absl::Status Refused(absl::Status why);

  Node& node_;
  NodeReplica& replica_;
  const UpPeers& up_;
  SendBehind* const behind_;
  Quorum quorum_;
  std::atomic<int64_t> in_one_{0}, in_two_{0}, reads_{0}, written_back_{0}, refused_{0};
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_COORDINATOR_H_
