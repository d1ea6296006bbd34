// Checks whether the writes and reads of a register could have happened one after the other.
//
// An operation takes effect at one moment between its beginning and its end. An operation without a
// known end may take effect at any time after its beginning, or never. The search is Wing and
// Gong's: take an operation that may come next and go on; go back when none may. By Lowe's
// refinement a set of taken operations, together with the value they left, is tried only once. Sets
// are remembered by 128-bit hashes, so a collision does not happen in practice.
//
// Cost: one step for each operation where operations follow one another. With k operations at once
// there are up to 2^k sets for each moment. The search remembers `max_sets` sets, at most 100 bytes
// each, then gives up. Giving up is an answer of its own and never counts as success.
//
// Threads  value
#ifndef WEFT_RPC_MESH_REGISTER_CHECK_H_
#define WEFT_RPC_MESH_REGISTER_CHECK_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "weft/core/requirements.h"

namespace weft::internal {

class RegisterCheck {
 public:
  // No end is known.
  static constexpr uint64_t kNoEnd = UINT64_MAX;

  struct Operation {
    bool is_write = false;
    // The value written or read; none: the read found nothing written.
    std::optional<std::string> value = std::nullopt;
    // Moments in the order of their coming, all different.
    uint64_t began = 0;
    uint64_t ended = kNoEnd;
  };

  static constexpr size_t kMaxSets = 1'000'000;

  struct Finding {
    // An operation that cannot be placed: no order of the operations that it may have seen gives
    // its value.
    std::optional<size_t> misfit = std::nullopt;
    // The search stopped at its limit: neither an order nor its absence was found.
    bool gave_up = false;
  };

  // The register begins without a value.
  static Finding Search(const std::vector<Operation>& operations, size_t max_sets = kMaxSets);
  // Search's misfit alone.
  static std::optional<size_t> FirstMisfit(const std::vector<Operation>& operations) {
    return Search(operations).misfit;
  }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_REGISTER_CHECK_H_
