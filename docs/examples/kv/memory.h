// Decides if a node may answer. A node that has lost its memory may not, until it has merged the
// memory of enough others.
//
//   kLost ──one of the others is merged──► kMerging ──as many as are needed──► kWhole
//   kLost ──one is merged, and one is enough──► kWhole
//
// An acknowledged write is at a majority. Of the n - 1 others up to n - majority may lack it, so
// any n - majority + 1 of them include one that has it: 2 of the others for three nodes, 3 for
// five. Only others that are whole themselves count.
//
// A node of a new cluster has nothing to lose, and starts whole.
//
// Threads  its owner's, one at a time
#ifndef WEFT_EXAMPLES_KV_MEMORY_H_
#define WEFT_EXAMPLES_KV_MEMORY_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "weft/rpc/mesh/want.h"

namespace weft::examples::kv {

enum class MemoryState : uint8_t { kLost, kMerging, kWhole };

class Memory {
 public:
  // `members`: size of the cluster, including this node.
  Memory(int members, bool nothing_to_lose)
      : needed_(NeededOf(members)),
        state_(nothing_to_lose ? MemoryState::kWhole : MemoryState::kLost) {}

  static constexpr int NeededOf(int members) {
    return members - Want::Majority().CountOf(members) + 1;
  }
  static constexpr bool MayGo(MemoryState from, MemoryState to) {
    switch (from) {
      case MemoryState::kLost:
        return to != MemoryState::kLost;
      case MemoryState::kMerging:
        return to == MemoryState::kWhole;
      case MemoryState::kWhole:
        return false;
    }
    return false;
  }
  static constexpr std::string_view Name(MemoryState state) {
    switch (state) {
      case MemoryState::kLost:
        return "lost";
      case MemoryState::kMerging:
        return "merging";
      case MemoryState::kWhole:
        return "whole";
    }
    return "unknown";
  }

  // Everything of `other`, which was whole, has been merged.
  void Merged(std::string_view other) {
    if (whole()) return;
    merged_.emplace(other);
    Go(merged() >= needed_ ? MemoryState::kWhole : MemoryState::kMerging);
  }

  MemoryState state() const { return state_; }
  bool whole() const { return state_ == MemoryState::kWhole; }
  int merged() const { return static_cast<int>(merged_.size()); }
  int needed() const { return needed_; }

 private:
  void Go(MemoryState to) {
    if (MayGo(state_, to)) state_ = to;
  }

  const int needed_;
  MemoryState state_;
  std::set<std::string, std::less<>> merged_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_MEMORY_H_
