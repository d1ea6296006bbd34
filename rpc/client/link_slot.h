// The link that a source gives at present, to be read by any thread without a lock and without a
// count that threads share.
//
// Each thread that reads has a record of its own in the slot, in which it says which link it uses.
// Set looks at all records. Where a thread is using the old link it hands its own reference over to
// that thread, which drops it when it lets go. So a link lives as long as somebody uses it, and no
// longer, and reading writes to memory of the reading thread only.
//
// A member of its source: EndpointConnection has one, and so has a peer with one connection.
//
// Threads  Read: any. Set and present: one loop; Set: any, where there is none. The destructor:
//          when nobody reads or sets any more; what was read may be let go later
// Owns     the link
#ifndef WEFT_RPC_CLIENT_LINK_SLOT_H_
#define WEFT_RPC_CLIENT_LINK_SLOT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "weft/core/event_loop.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_link.h"

namespace weft::internal {

// A link and its number in its source.
struct NumberedLink {
  std::shared_ptr<CallLink> link;
  uint64_t number = 0;
};

class LinkSlot {
 public:
  class Record;

  // `loop`: where it is set.
  explicit LinkSlot(const EventLoop& loop) : loop_(&loop) {}
  // Makes a slot that is set on any thread. `present` must not be called then.
  LinkSlot() : loop_(nullptr) {}
  ~LinkSlot();
  LinkSlot(const LinkSlot&) = delete;
  LinkSlot& operator=(const LinkSlot&) = delete;

  // The link, on the loop where it is set: valid until it is set again.
  const NumberedLink* present() const { return present_.load(std::memory_order_relaxed); }
  // Null: it is set on any thread.
  const EventLoop* loop() const { return loop_; }
  // The link, used by this thread until LetGo of the record that `*record` is set to. Null: there
  // is none, or it must be learned in another way: this thread uses one already.
  WEFT_ANY_THREAD const NumberedLink* Read(Record** record);
  // Called by the thread that has read the link.
  WEFT_ANY_THREAD static void LetGo(Record& record);

  // Null: there is none from here on.
  void Set(std::shared_ptr<const NumberedLink> link) WEFT_EXCLUDES(mu_);

 private:
  // Finds this thread's record when it was not the last one that the thread used. Null: the place
  // has the record of another slot, which is in use.
  Record* FindRecord() WEFT_EXCLUDES(mu_);

  const EventLoop* const loop_;
  std::atomic<const NumberedLink*> present_{nullptr};
  Mutex mu_;
  std::shared_ptr<const NumberedLink> owned_ WEFT_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Record>> records_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_LINK_SLOT_H_
