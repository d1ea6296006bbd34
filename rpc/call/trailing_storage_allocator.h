// An allocator whose one block has room behind the object: for bytes that live as long as it does,
// without an allocation of their own.
//
//   char* room;
//   auto thing = std::allocate_shared<Thing>(TrailingStorageAllocator<Thing>(100, &room));
//   memcpy(room, …, 100);
//
// Threads  value
#ifndef WEFT_RPC_CALL_TRAILING_STORAGE_ALLOCATOR_H_
#define WEFT_RPC_CALL_TRAILING_STORAGE_ALLOCATOR_H_

#include <cstddef>
#include <new>

#include "weft/core/requirements.h"

namespace weft::internal {

template <typename T>
class TrailingStorageAllocator {
 public:
  using value_type = T;

  // `where` is told where the room is, inside allocate.
  TrailingStorageAllocator(size_t room, char** where) : room_(room), where_(where) {}
  template <typename U>
  TrailingStorageAllocator(const TrailingStorageAllocator<U>& o)  // NOLINT: allocators convert
      : room_(o.room_), where_(o.where_) {}

  T* allocate(size_t n) {
    char* const memory = static_cast<char*>(::operator new(n * sizeof(T) + room_));
    *where_ = memory + n * sizeof(T);
    return reinterpret_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory); }

  friend bool operator==(const TrailingStorageAllocator&, const TrailingStorageAllocator&) {
    return true;
  }

 private:
  template <typename U>
  friend class TrailingStorageAllocator;

  size_t room_;
  char** where_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_TRAILING_STORAGE_ALLOCATOR_H_
