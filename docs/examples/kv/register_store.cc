#include "register_store.h"

#include "version.h"

namespace weft::examples::kv {

bool RegisterStore::Merge(const Entry& entry) {
  Register& r = registers_[entry.key()];
  // Sequences begin at 1: with 0 the register has just been made by this lookup.
  if (r.sequence != 0) {
    // An equal version is the same write, which has come by two ways.
    if (Compare(entry.version(), r.entry.version()) <= 0) return false;
    order_.erase(r.sequence);
  }
  r.entry = entry;
  // At the end of the order: a puller that has passed the old place would miss the new entry.
  r.sequence = ++last_;
  // The map's nodes do not move, so the pointer stays good.
  order_.emplace(r.sequence, &r.entry);
  return true;
}

const Entry* RegisterStore::Find(std::string_view key) const {
  const auto it = registers_.find(key);
  return it != registers_.end() ? &it->second.entry : nullptr;
}

std::vector<const Entry*> RegisterStore::TakenAfter(uint64_t* sequence, size_t max) const {
  std::vector<const Entry*> found;
  for (auto it = order_.upper_bound(*sequence); it != order_.end() && found.size() < max; ++it) {
    found.push_back(it->second);
    *sequence = it->first;
  }
  return found;
}

}  // namespace weft::examples::kv
