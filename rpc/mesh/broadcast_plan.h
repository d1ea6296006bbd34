// The plan of a broadcast: the peers to call, the request's bytes, and the count to wait for. Made
// by the starter on its stack, and gone when the legs have started.
//
// Threads  value, the starter's
// Owns     a share of the members it found
// Errors   `why`: the broadcast ends with this error and calls nobody
#ifndef WEFT_RPC_MESH_BROADCAST_PLAN_H_
#define WEFT_RPC_MESH_BROADCAST_PLAN_H_

#include <cstddef>
#include <memory>
#include <string>

#include <google/protobuf/message_lite.h>

#include "absl/status/status.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/base/serialized_request.h"
#include "weft/rpc/call/call_options.h"
#include "weft/rpc/mesh/broadcast_options.h"
#include "weft/rpc/mesh/peer_set.h"
#include "weft/rpc/mesh/quorum_count.h"

namespace weft::internal {

struct BroadcastPlan {
  BroadcastPlan(const BroadcastTargets& targets, const MethodInfo& called,
                const google::protobuf::MessageLite& message, const BroadcastOptions& wishes);

  // Options for each single call.
  CallOptions LegOptions() const;

  // Number of calls: the other members, then this node, if it is called.
  size_t legs() const { return others + (calls_self ? 1 : 0); }
  const std::string& NameOf(size_t leg) const {
    return leg < others ? peers->others[leg].name : peers->own_name;
  }
  CallTarget& TargetOf(size_t leg) const {
    return leg < others ? *peers->others[leg].target : *peers->self;
  }
  // Size of a small request that is written once behind the legs; each leg refers to those bytes.
  // 0: the request is shared (`request`).
  size_t own_bytes() const { return request == nullptr ? request_size : 0; }

  // Fills in the rest, or returns why the broadcast cannot start.
  absl::Status Make();

  const MethodInfo& method;
  const google::protobuf::MessageLite& message;
  const BroadcastOptions& options;
  std::shared_ptr<const PeerSet> held;  // null: the caller's own group
  const PeerSet* peers = nullptr;
  size_t others = 0;
  bool calls_self = false;
  QuorumCount count;
  size_t request_size = 0;
  // Null: the request is small. Each connection copies small requests, and neither shares nor
  // compresses them.
  std::shared_ptr<const SerializedRequest> request;
  absl::Status why;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_BROADCAST_PLAN_H_
