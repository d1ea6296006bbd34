// The calls of an IdTable that found their slot taken, by number.
//
// A peer chooses the numbers, so places depend on a secret seed too: the peer cannot make them
// collide.
//
// Threads  value; whoever guards it
// Owns     nothing
// Errors   Insert says when there is no memory for one more
#ifndef WEFT_RPC_CALL_ID_OVERFLOW_H_
#define WEFT_RPC_CALL_ID_OVERFLOW_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/attributes.h"
#include "weft/core/random_bits.h"
#include "weft/rpc/call/id_slots.h"

namespace weft::internal {

template <typename T>
class IdOverflow {
 public:
  // `id` is not here. False: there is no memory.
  [[nodiscard]] ABSL_ATTRIBUTE_NOINLINE bool Insert(uint64_t id, T* value) {
    if ((size_ + 1) * 2 > slots_.length() && !Grow()) return false;
    ++size_;
    Place(id, value);
    return true;
  }
  // Null when it is not here.
  T* Find(uint64_t id) const {
    if (size_ == 0) return nullptr;
    for (size_t at = Home(id); slots_[at].value != nullptr; ++at) {
      if (slots_[at].id == id) return slots_[at].value;
    }
    return nullptr;
  }
  // Removes it; null when it is not here.
  ABSL_ATTRIBUTE_NOINLINE T* Take(uint64_t id) {
    if (size_ == 0) return nullptr;
    for (size_t at = Home(id); slots_[at].value != nullptr; ++at) {
      if (slots_[at].id == id) return Erase(at);
    }
    return nullptr;
  }
  // Removes the calls that `wants` takes.
  template <typename F>
  void TakeThose(F&& wants) {
    for (size_t at = 0; at < slots_.length(); ++at) {
      // Erase may move another call to this place, so look at it again.
      while (slots_[at].value != nullptr && wants(slots_[at].id, slots_[at].value)) Erase(at);
    }
  }
  template <typename F>
  void ForEach(F&& f) const {
    for (const auto& slot : slots_) {
      if (slot.value != nullptr) f(slot.id, slot.value);
    }
  }
  bool empty() const { return size_ == 0; }
  void Clear() {
    slots_.Free();
    size_ = 0;
  }

 private:
  size_t Home(uint64_t id) const {
    uint64_t state = id ^ seed_;
    return static_cast<size_t>(NextRandomBits(&state));
  }
  void Place(uint64_t id, T* value) {
    size_t at = Home(id);
    while (slots_[at].value != nullptr) ++at;
    slots_[at] = {id, value};
  }
  // Removes the call at `at`. The calls behind it, up to a free slot, move up unless they are at
  // home already: a look-up ends at the first free slot.
  T* Erase(size_t at) {
    T* const value = std::exchange(slots_[at].value, nullptr);
    --size_;
    const size_t mask = slots_.length() - 1;
    for (size_t next = at + 1; slots_[next].value != nullptr; ++next) {
      if (((next - Home(slots_[next].id)) & mask) < ((next - at) & mask)) continue;
      slots_[at] = std::exchange(slots_[next], {});
      at = next;
    }
    return value;
  }
  bool Grow() {
    IdSlots<T> old;
    if (!slots_.Double(&old)) return false;
    std::swap(old, slots_);
    if (seed_ == 0) seed_ = RandomSeed();
    for (const auto& slot : old) {
      if (slot.value != nullptr) Place(slot.id, slot.value);
    }
    return true;
  }

  IdSlots<T> slots_;
  size_t size_ = 0;
  uint64_t seed_ = 0;  // drawn with the first memory
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_ID_OVERFLOW_H_
