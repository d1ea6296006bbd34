// The facts about a call by which a link is chosen for it.
//
// Threads  value; its spans refer to what the caller of Pick has
#ifndef WEFT_RPC_CALL_PICK_REQUEST_H_
#define WEFT_RPC_CALL_PICK_REQUEST_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft::internal {

struct PickRequest {
  // Calls with the same hash go to the same place, where a source cares for that. 0: no hash.
  uint64_t hash = 0;
  // The method of an ordered call. It waits while calls of the method are under way on a link whose
  // place another has taken. Empty: the call has no order.
  std::string_view ordered = {};
  // The number of the attempt, from 1 on.
  int attempt = 1;
  // The links of earlier attempts, by number: any other link is preferred. Numbers of links are
  // never used again.
  std::span<const uint64_t> tried = {};
  // Links that have said that they take no more calls: none of them is picked.
  std::span<const uint64_t> gone = {};
  // The call waits until there is a link, and does not fail because the last attempt to make one
  // did.
  bool wait_for_ready = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_PICK_REQUEST_H_
