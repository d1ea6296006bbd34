#include "weft/rpc/call/call_memory.h"

#include <cstdint>
#include <new>

namespace weft::internal {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kMax = 0;  // a sanitizer must see uses after the end
#else
constexpr size_t kMax = CallMemory::kKept;
#endif

// Stands before the memory that is given out.
struct alignas(std::max_align_t) Head {
  size_t size;  // of the memory behind it
  Head* next;
};

class List {
 public:
  ~List() {
    kept_ = kMax;  // destructors of other thread-locals may still give back: keep nothing
    while (Head* const head = first_) {
      first_ = head->next;
      ::operator delete(head);
    }
  }
  Head* Take() {
    Head* const head = first_;
    if (head == nullptr) return nullptr;
    first_ = head->next;
    --kept_;
    return head;
  }
  bool Give(Head* head) {
    if (kept_ >= kMax) return false;
    ++kept_;
    head->next = first_;
    first_ = head;
    return true;
  }

 private:
  Head* first_ = nullptr;
  size_t kept_ = 0;
};

// The lists of one thread.
struct Lists {
  List small, large;
  List* Of(size_t size) {
    return size == CallMemory::kSmall ? &small : size == CallMemory::kLarge ? &large : nullptr;
  }
};

thread_local Lists lists;

}  // namespace

void* CallMemory::Take(size_t size) {
  const size_t room = size <= kSmall ? kSmall : size <= kLarge ? kLarge : size;
  List* const list = lists.Of(room);
  Head* head = list != nullptr ? list->Take() : nullptr;
  if (head == nullptr) head = new (::operator new(sizeof(Head) + room)) Head{room, nullptr};
  return head + 1;
}

void CallMemory::Give(void* memory) {
  Head* const head = static_cast<Head*>(memory) - 1;
  List* const list = lists.Of(head->size);
  if (list == nullptr || !list->Give(head)) ::operator delete(head);
}

}  // namespace weft::internal
