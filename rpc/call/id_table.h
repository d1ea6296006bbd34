// Calls by number: a slot for each, found by the number's low bits and checked against all of it.
//
// Numbers rise, so calls under way have different slots unless one of them is old; that one's rival
// goes to a map.
//
// Threads  value; whoever guards it
// Owns     nothing
#ifndef WEFT_RPC_CALL_ID_TABLE_H_
#define WEFT_RPC_CALL_ID_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace weft {

template <typename T>
class IdTable {
 public:
  // `id` is not in the table.
  void Insert(uint64_t id, T* value) {
    if (++size_ * 2 > slots_.size()) Grow();
    Slot& slot = slots_[id & (slots_.size() - 1)];
    if (slot.value == nullptr) {
      slot = {id, value};
    } else {
      overflow_[id] = value;
    }
  }
  T* Find(uint64_t id) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[id & (slots_.size() - 1)];
    if (slot.value != nullptr && slot.id == id) return slot.value;
    if (overflow_.empty()) return nullptr;
    const auto it = overflow_.find(id);
    return it == overflow_.end() ? nullptr : it->second;
  }
  // Removes it; nullptr when it is not there.
  T* Take(uint64_t id) {
    if (slots_.empty()) return nullptr;
    Slot& slot = slots_[id & (slots_.size() - 1)];
    if (slot.value != nullptr && slot.id == id) {
      --size_;
      return std::exchange(slot.value, nullptr);
    }
    if (overflow_.empty()) return nullptr;
    const auto it = overflow_.find(id);
    if (it == overflow_.end()) return nullptr;
    T* value = it->second;
    overflow_.erase(it);
    --size_;
    return value;
  }
  template <typename F>
  void ForEach(F&& f) const {
    for (const Slot& slot : slots_) {
      if (slot.value != nullptr) f(slot.id, slot.value);
    }
    for (const auto& [id, value] : overflow_) f(id, value);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Gives back its memory where it is empty.
  void Trim() {
    if (size_ == 0) std::vector<Slot>().swap(slots_);  // `= {}` keeps the memory
  }
  void Clear() {
    slots_.clear();
    overflow_.clear();
    size_ = 0;
  }

 private:
  struct Slot {
    uint64_t id = 0;
    T* value = nullptr;
  };
  static constexpr size_t kFirst = 4;

  void Grow() {
    std::vector<Slot> old =
        std::exchange(slots_, std::vector<Slot>(slots_.empty() ? kFirst : slots_.size() * 2));
    absl::flat_hash_map<uint64_t, T*> more = std::exchange(overflow_, {});
    const auto place = [this](uint64_t id, T* value) {
      Slot& slot = slots_[id & (slots_.size() - 1)];
      if (slot.value == nullptr) {
        slot = {id, value};
      } else {
        overflow_[id] = value;
      }
    };
    for (const Slot& slot : old) {
      if (slot.value != nullptr) place(slot.id, slot.value);
    }
    for (const auto& [id, value] : more) place(id, value);
  }

  std::vector<Slot> slots_;
  absl::flat_hash_map<uint64_t, T*> overflow_;
  size_t size_ = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_ID_TABLE_H_
