// Decides a broadcast by the content of its replies: asked after each peer's end whether to go on.
//
//   class Newest : public weft::Reducer<GetReply> { … };
//   Newest newest;
//   auto result = weft::Broadcast(node, Kv::kGet, request, {.want = …}, newest);
//
// Ready ones: Agreed, Newest, Fold, and Decide for a lambda.
//
// Threads  OnEnd: I/O threads, one call at a time, each call sees the effects of the one before. It
//          must not block, and must not destroy the broadcast
// Owns     nothing; outlives the outcome of its broadcast. Serves one broadcast
// Errors   what OnEnd throws is caught, counted and logged, and fails the broadcast with INTERNAL
// Ends     OnEnd is not called any more once the outcome is certain
#ifndef WEFT_RPC_MESH_REDUCER_H_
#define WEFT_RPC_MESH_REDUCER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "weft/rpc/mesh/broadcast_result.h"
#include "weft/rpc/mesh/quorum_count.h"

namespace weft {

enum class Step : uint8_t {
  kByCount,   // decide by the want and the count
  kContinue,  // go on, whatever the count is; the broadcast fails when no peer is left to answer
  kDone,      // the outcome is OK
  kFail,      // the outcome is an error: `why`
};

template <typename Reply>
class Reducer {
 public:
  virtual ~Reducer() = default;

  // `peer` has ended, with or without success. `count` includes it.
  virtual Step OnEnd(const PeerReply<Reply>& peer, const QuorumCount& count) = 0;
  // The error after kFail, or after kContinue when no peer is left. OK: use the error of the count.
  virtual absl::Status why() const { return absl::OkStatus(); }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_REDUCER_H_
