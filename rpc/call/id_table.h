// Calls by number: a slot for each, found by the number's low bits and checked against all of it.
//
// Numbers rise, so calls under way have different slots unless one of them is old. A call whose
// slot is taken by an old one goes to an IdOverflow.
//
// Threads  value; whoever guards it
// Owns     nothing
// Errors   Insert says when there is no memory for one more; all that was there stays
#ifndef WEFT_RPC_CALL_ID_TABLE_H_
#define WEFT_RPC_CALL_ID_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/attributes.h"
#include "weft/rpc/call/id_overflow.h"
#include "weft/rpc/call/id_slots.h"

namespace weft::internal {

template <typename T>
class IdTable {
 public:
  // `id` is not in the table. False: there is no memory for it.
  [[nodiscard]] bool Insert(uint64_t id, T* value) {
    if ((size_ + 1) * 2 > slots_.length() && !Grow()) return false;
    if (!Place(id, value)) return false;
    ++size_;
    return true;
  }
  T* Find(uint64_t id) const {
    if (slots_.length() == 0) return nullptr;
    const auto& slot = slots_[id];
    if (slot.value != nullptr && slot.id == id) return slot.value;
    return overflow_.Find(id);
  }
  // Removes it; nullptr when it is not there.
  T* Take(uint64_t id) {
    if (slots_.length() == 0) return nullptr;
    auto& slot = slots_[id];
    T* const value = slot.value != nullptr && slot.id == id ? std::exchange(slot.value, nullptr)
                                                            : overflow_.Take(id);
    if (value != nullptr) --size_;
    return value;
  }
  template <typename F>
  void ForEach(F&& f) const {
    for (const auto& slot : slots_) {
      if (slot.value != nullptr) f(slot.id, slot.value);
    }
    overflow_.ForEach(f);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Gives back its memory where it is empty.
  void Trim() {
    if (size_ == 0) Clear();
  }
  void Clear() {
    slots_.Free();
    overflow_.Clear();
    size_ = 0;
  }

 private:
  bool Place(uint64_t id, T* value) {
    auto& slot = slots_[id];
    if (slot.value != nullptr) return overflow_.Insert(id, value);
    slot = {id, value};
    return true;
  }
  // Doubles the slots. Calls with different slots have different ones again, for one more bit
  // counts.
  ABSL_ATTRIBUTE_NOINLINE bool Grow() {
    IdSlots<T> old;
    if (!slots_.Double(&old)) return false;
    std::swap(old, slots_);
    for (const auto& slot : old) {
      if (slot.value != nullptr) slots_[slot.id] = slot;
    }
    overflow_.TakeThose([this](uint64_t id, T* value) {
      auto& slot = slots_[id];
      if (slot.value != nullptr) return false;
      slot = {id, value};
      return true;
    });
    return true;
  }

  IdSlots<T> slots_;
  IdOverflow<T> overflow_;
  size_t size_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_ID_TABLE_H_
