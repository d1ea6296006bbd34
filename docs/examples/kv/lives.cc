#include "lives.h"

#include <algorithm>

namespace weft::examples::kv {

void Lives::Learn(const Life& life) {
  uint64_t& known = known_[life.node()];
  // Messages may arrive in any order; an old one must not bring an earlier life back.
  known = std::max(known, life.life());
}

void Lives::Learn(const List& lives) {
  for (const Life& life : lives) Learn(life);
}

uint64_t Lives::Of(std::string_view node) const {
  const auto it = known_.find(node);
  return it != known_.end() ? it->second : 0;
}

std::string Lives::LaterThan(const List& lives) const {
  for (const auto& [node, life] : known_) {
    // Not named: the sender knows no life of that node, which is less than any.
    uint64_t theirs = 0;
    for (const Life& each : lives) {
      if (each.node() == node) theirs = each.life();
    }
    if (theirs < life) return node;
  }
  return "";
}

void Lives::AddTo(List* lives) const {
  for (const auto& [node, life] : known_) {
    Life& each = *lives->Add();
    each.set_node(node);
    each.set_life(life);
  }
}

}  // namespace weft::examples::kv
