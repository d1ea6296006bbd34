// The error of a failed broadcast, made from its peers' errors:
//
//   UNAVAILABLE: broadcast Kv/Put: 2 of 5 answered, 3 needed: b: connect 10.0.0.7:80: refused; c: …
//
// The code is DEADLINE_EXCEEDED if the failure added last has that code. Otherwise it is the code
// that most peers ended with; of equally frequent codes, the one that came first. A skipped peer
// counts as RESOURCE_EXHAUSTED. The text names kMaxNamed failures, with kMaxText bytes of each.
//
// Threads  value
#ifndef WEFT_RPC_MESH_QUORUM_ERROR_H_
#define WEFT_RPC_MESH_QUORUM_ERROR_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/mesh/quorum_count.h"

namespace weft::internal {

class QuorumError {
 public:
  static constexpr int kMaxNamed = 5;
  static constexpr size_t kMaxText = 120;

  // Adds a failure. The last call must be for the failure that ended the broadcast.
  void Add(std::string_view peer, const absl::Status& why);
  // `verb`: completes "2 of 5 …".
  absl::Status Make(const MethodInfo& method, const QuorumCount& count,
                    std::string_view verb = "answered") const;

 private:
  static constexpr size_t kCodes = 17;

  std::array<int, kCodes> counts_{};
  std::array<int, kCodes> first_{};  // position of its first failure, from 1
  int failures_ = 0;
  absl::StatusCode last_ = absl::StatusCode::kUnavailable;
  std::string named_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_QUORUM_ERROR_H_
