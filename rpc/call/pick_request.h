// The facts about a call by which a link is chosen for it.
//
// Threads  value; its spans refer to what the caller of Pick has
#ifndef WEFT_RPC_CALL_PICK_REQUEST_H_
#define WEFT_RPC_CALL_PICK_REQUEST_H_

#include <cstdint>
#include <span>

namespace weft {

struct PickRequest {
  // Calls of the same kind go to the same place, where a source cares for that. 0: of no kind.
  uint64_t hash = 0;
  // Which attempt of the call it is, from 1 on.
  int attempt = 1;
  // The links of earlier attempts, by number: another one goes before them. Numbers of links are
  // never used again.
  std::span<const uint64_t> tried = {};
  // Links that have said that they take no more calls: none of them is picked.
  std::span<const uint64_t> gone = {};
  // The call waits until there is a link, and does not fail because the last attempt to make one
  // did.
  bool wait_for_ready = false;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_PICK_REQUEST_H_
