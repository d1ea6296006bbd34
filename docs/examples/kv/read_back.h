// Reads every acknowledged write back from every node, and counts lost ones.
//
// Threads  its caller's; uses threads of its own
#ifndef WEFT_EXAMPLES_KV_READ_BACK_H_
#define WEFT_EXAMPLES_KV_READ_BACK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "kv.weft.h"
#include "ledger.h"

namespace weft::examples::kv {

struct ReadBack {
  struct OfNode {
    int64_t lost = 0;
    // Acknowledged writes whose key could not be read from the node.
    int64_t unread = 0;
  };
  std::vector<OfNode> nodes;
  // Writes that at least one node does not return.
  int64_t lost = 0;
  int64_t unread = 0;
  std::string first_error;

  static ReadBack Of(const Ledger& ledger, const std::vector<Store::Stub>& stores);
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_READ_BACK_H_
