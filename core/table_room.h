// Hash tables of the standard library, which stay as they were when they cannot grow: room for what
// will be put in, and their entries taken out one by one.
//
//   if (!TryMakeRoom(table, table.size() + 1)) return absl::ResourceExhaustedError("no memory");
//   TakeEach(table, [&](auto entry) { Told(entry.key()); });
//
// Threads  any; functions without state
// Errors   TryMakeRoom: false where there is no memory for the table
#ifndef WEFT_CORE_TABLE_ROOM_H_
#define WEFT_CORE_TABLE_ROOM_H_

#include <cstddef>

#include "weft/core/try_allocate.h"

namespace weft::internal {

// For `entries` altogether: that many are put in without the table being made anew.
template <typename Table>
[[nodiscard]] bool TryMakeRoom(Table& table, size_t entries) {
  if (entries <= table.bucket_count()) return true;
  return TryAllocate([&] { table.reserve(entries * 2); });
}

// Takes out every entry, also those that come meanwhile, and hands its node to `f`, which may look
// into the table: the entry is in there no more.
template <typename Table, typename F>
void TakeEach(Table& table, F f) {
  while (!table.empty()) f(table.extract(table.begin()));
}

}  // namespace weft::internal

#endif  // WEFT_CORE_TABLE_ROOM_H_
