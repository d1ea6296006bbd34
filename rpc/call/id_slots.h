// An array of numbered calls whose length is a power of two: the memory of IdTable and IdOverflow.
//
// Threads  value; whoever guards it
// Owns     its array, not the calls
// Errors   Double says when there is no memory, and leaves everything as it was
#ifndef WEFT_RPC_CALL_ID_SLOTS_H_
#define WEFT_RPC_CALL_ID_SLOTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "weft/core/requirements.h"

namespace weft::internal {

template <typename T>
class IdSlots {
 public:
  struct Slot {
    uint64_t id = 0;
    T* value = nullptr;  // null: free
  };

  // An empty array of twice the length. False: there is no memory for it.
  [[nodiscard]] bool Double(IdSlots* twice) const {
    const size_t length = length_ == 0 ? kFirst : length_ * 2;
    twice->slots_.reset(new (std::nothrow) Slot[length]());
    twice->length_ = twice->slots_ != nullptr ? length : 0;
    return twice->length_ > 0;
  }
  void Free() {
    slots_.reset();
    length_ = 0;
  }
  size_t length() const { return length_; }
  // The low bits of `at` count.
  Slot& operator[](size_t at) const { return slots_[at & (length_ - 1)]; }
  Slot* begin() const { return slots_.get(); }
  Slot* end() const { return slots_.get() + length_; }

 private:
  static constexpr size_t kFirst = 4;

  std::unique_ptr<Slot[]> slots_;
  size_t length_ = 0;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_ID_SLOTS_H_
