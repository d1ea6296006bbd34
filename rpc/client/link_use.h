// A scope in which this thread uses a link that it has read in a LinkSlot.
//
// Threads  the one that has read it
// Ends     lets go when it is destroyed
#ifndef WEFT_RPC_CLIENT_LINK_USE_H_
#define WEFT_RPC_CLIENT_LINK_USE_H_

#include "weft/rpc/client/link_slot.h"

namespace weft::internal {

class LinkUse {
 public:
  // Null: it is used without a record, by the loop that sets the slot.
  explicit LinkUse(LinkSlot::Record* record) : record_(record) {}
  ~LinkUse() {
    if (record_ != nullptr) LinkSlot::LetGo(*record_);
  }
  LinkUse(const LinkUse&) = delete;
  LinkUse& operator=(const LinkUse&) = delete;

 private:
  LinkSlot::Record* const record_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_LINK_USE_H_
