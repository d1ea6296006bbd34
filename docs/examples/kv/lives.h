// The last known life of each node.
//
// A node's answer counts only while the node remembers it. A write that a node took and then forgot
// must not be counted together with another node's answer given after that node has restored the
// first one's memory. So a write carries the lives that its sender counts on, and a node that knows
// of a later life refuses it.
//
// Threads  its owner's, one at a time
#ifndef WEFT_EXAMPLES_KV_LIVES_H_
#define WEFT_EXAMPLES_KV_LIVES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include <google/protobuf/repeated_ptr_field.h>

#include "kv.pb.h"

namespace weft::examples::kv {

class Lives {
 public:
  using List = google::protobuf::RepeatedPtrField<Life>;

  // Keeps the later life.
  void Learn(const Life& life);
  void Learn(const List& lives);
  // The last known life; 0: none.
  uint64_t Of(std::string_view node) const;
  // Returns a node whose life is later here than in `lives`; empty: none.
  std::string LaterThan(const List& lives) const;
  void AddTo(List* lives) const;

 private:
  std::map<std::string, uint64_t, std::less<>> known_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_LIVES_H_
