// Room in a stream for the data that its transport keeps for it: windows, credit, numbers. It costs
// no allocation, and the stream knows nothing of its content.
//
// A call may go from one transport to another while a writer is still on its way into the first.
// Each transport looks at OwnedBy under its own lock, and leaves the room alone if another one owns
// it.
//
// Threads  Emplace and Release: the transport's, under its lock; OwnedBy: any; As: as what the
//          transport keeps there says
// Owns     what the transport keeps there, which needs no destructor
#ifndef WEFT_RPC_CALL_TRANSPORT_SLOT_H_
#define WEFT_RPC_CALL_TRANSPORT_SLOT_H_

#include <atomic>
#include <cstddef>
#include <new>
#include <type_traits>

#include "weft/core/requirements.h"

namespace weft::internal {

class StreamTransport;

class TransportSlot {
 public:
  static constexpr size_t kSize = 56;

  // `owner` takes the room, with a new Part in it.
  template <typename Part>
  Part& Emplace(const StreamTransport* owner) {
    static_assert(sizeof(Part) <= kSize && alignof(Part) <= alignof(void*));
    static_assert(std::is_trivially_destructible_v<Part>);
    Part* const part = new (bytes_) Part();
    owner_.store(owner, std::memory_order_relaxed);
    return *part;
  }
  // Returns the owner's data, with the type that it emplaced.
  template <typename Part>
  Part& As() {
    return *std::launder(reinterpret_cast<Part*>(bytes_));
  }
  template <typename Part>
  const Part& As() const {
    return *std::launder(reinterpret_cast<const Part*>(bytes_));
  }

  bool OwnedBy(const StreamTransport* transport) const {
    return owner_.load(std::memory_order_relaxed) == transport;
  }
  // Gives up the ownership. The content stays until another transport takes the room.
  void Release() { owner_.store(nullptr, std::memory_order_relaxed); }

 private:
  std::atomic<const StreamTransport*> owner_{nullptr};
  alignas(void*) std::byte bytes_[kSize];
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_TRANSPORT_SLOT_H_
