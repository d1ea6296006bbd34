// The two questions of a node that leads a read or a write: sent to all members, answered by a
// majority.
//
// Threads  any; both functions block, so not on an I/O thread
// Owns     nothing; node and replica outlive it
// Errors   ABORTED: some node has a newer version; UNAVAILABLE: no majority answered. In both cases
//          the entry may have been written, or may be yet
#ifndef WEFT_EXAMPLES_KV_QUORUM_H_
#define WEFT_EXAMPLES_KV_QUORUM_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kv.weft.h"
#include "replica.h"
#include "weft/rpc/node.h"

namespace weft::examples::kv {

class Quorum {
 public:
  struct Found {
    // The newest entry among a majority; version 0: none has one.
    Entry newest;
    // The whole majority has that entry.
    bool agreed = false;
  };

  Quorum(Node& node, const NodeReplica& replica) : node_(node), replica_(replica) {}

  absl::Status Put(const Entry& entry, bool only_if_newest, absl::Duration timeout);
  absl::StatusOr<Found> Get(const std::string& key, absl::Duration timeout);

 private:
  Node& node_;
  const NodeReplica& replica_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_QUORUM_H_
