// The outcome of a broadcast, and the replies that peers had given when it became certain.
//
//   if (!result.status.ok()) …       // UNAVAILABLE: "broadcast Kv/Put: 2 of 5 answered, …"
//   for (const auto& peer : result.peers) {
//     if (peer.end == PeerEnd::kOk) Use(peer.name, *peer.reply);
//   }
//
// Threads  value; RestOfBroadcast: any
#ifndef WEFT_RPC_MESH_BROADCAST_RESULT_H_
#define WEFT_RPC_MESH_BROADCAST_RESULT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/requirements.h"

namespace weft {

enum class PeerEnd : uint8_t {
  kOpen,     // it had not ended when the outcome was certain; its reply is CANCELLED
  kOk,       // `reply` has its reply
  kFailed,   // `reply` has the error
  kSkipped,  // it was not called: Slow::kSkip
};

// One peer's part. `reply` holds its reply, or the reason why there is none.
template <typename Reply>
struct PeerReply {
  std::string name = {};
  PeerEnd end = PeerEnd::kOpen;
  absl::StatusOr<Reply> reply = absl::Status(absl::StatusCode::kCancelled, "");  // needs no memory
  // False: this peer has certainly not executed the call.
  bool may_have_been_executed = true;
};

// Calls that go on after the outcome (BroadcastOptions::let_rest_run).
struct RestOfBroadcast {
  std::atomic<int> under_way{0};
  std::atomic<int> ok{0}, failed{0};
};

template <typename Reply>
struct [[nodiscard]] BroadcastResult {
  absl::Status status;
  // In the order of the view; this node itself, if it was called, is the last.
  std::vector<PeerReply<Reply>> peers;
  // Members counted, answers needed, and how the peers ended. `ok` includes this node if it counts
  // itself.
  int members = 0, needed = 0;
  int ok = 0, failed = 0, skipped = 0;
  // Null: no call goes on after the outcome.
  std::shared_ptr<const RestOfBroadcast> rest;

  // Null: no peer of that name was called.
  const PeerReply<Reply>* Find(std::string_view name) const {
    for (const PeerReply<Reply>& peer : peers) {
      if (peer.name == name) return &peer;
    }
    return nullptr;
  }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_BROADCAST_RESULT_H_
