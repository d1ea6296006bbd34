// One node's copy: the newest entry of each key, and the order in which they were taken.
//
// Entries come only by Merge, which takes newer ones. So copies that have merged the same entries,
// in any order and any number of times, are equal.
//
// Threads  its owner's, one at a time
#ifndef WEFT_EXAMPLES_KV_REGISTER_STORE_H_
#define WEFT_EXAMPLES_KV_REGISTER_STORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kv.pb.h"

namespace weft::examples::kv {

class RegisterStore {
 public:
  // Takes the entry if it is newer. True: it was.
  bool Merge(const Entry& entry);
  // Null: the key was never written. Valid until the next Merge.
  const Entry* Find(std::string_view key) const;
  // Returns up to `max` entries taken after `sequence`, in order, and sets `sequence` to the last
  // one's.
  std::vector<const Entry*> TakenAfter(uint64_t* sequence, size_t max) const;
  size_t size() const { return registers_.size(); }

 private:
  struct Register {
    Entry entry;
    uint64_t sequence = 0;
  };

  std::map<std::string, Register, std::less<>> registers_;
  // By sequence number. A replaced entry leaves its place.
  std::map<uint64_t, const Entry*> order_;
  uint64_t last_ = 0;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_REGISTER_STORE_H_
