// Room in a stream for what its transport keeps of it: windows, credit, numbers. It costs no
// allocation, and the stream knows nothing of it.
//
// A call may go from one transport to another while a writer is still on its way into the first.
// Each looks at OwnedBy under its own lock, and leaves the room alone when it is another's.
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

namespace weft {

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
  // The owner's, with the type that it emplaced.
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
  // Nobody owns it. What is in it stays until another one takes the room.
  void Release() { owner_.store(nullptr, std::memory_order_relaxed); }

 private:
  std::atomic<const StreamTransport*> owner_{nullptr};
  alignas(void*) std::byte bytes_[kSize];
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_TRANSPORT_SLOT_H_
