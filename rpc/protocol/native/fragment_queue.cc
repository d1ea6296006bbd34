#include "weft/rpc/protocol/native/fragment_queue.h"

#include <algorithm>
#include <utility>

#include "weft/core/check.h"

namespace weft::internal::native {

FragmentQueue::Item* FragmentQueue::Find(FragmentKey key) {
  const auto it =
      std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.key == key; });
  return it == items_.end() ? nullptr : &*it;
}

void FragmentQueue::Add(FragmentKey key, Rest rest) {
  // One item for each stream or message. Further frames of the same key go behind it, or they would
  // overtake its rest.
  WEFT_DCHECK(Find(key) == nullptr && rest.cursor.left > 0);
  bytes_ += rest.cursor.left;
  items_.push_back({key, std::move(rest), false, {}});
}

void FragmentQueue::Behind(FragmentKey key, size_t bytes, Later frame) {
  Item* const item = Find(key);
  WEFT_DCHECK(item != nullptr);
  bytes_ += bytes;
  item->behind.emplace_back(bytes, std::move(frame));
}

bool FragmentQueue::Feed(OutputQueue& queue, FrameWriter& writer, size_t until) {
  queue.mutex().AssumeHeld();
  bool ended = false;
  size_t held = 0;  // items skipped in a row; all held: nothing to send
  // One frame an item and turn: a large message delays a small one by a frame of each message that
  // is under way.
  while (queue.queued() < until && held < items_.size()) {
    const auto to_the_end = [this] { items_.splice(items_.end(), items_, items_.begin()); };
    Item& item = items_.front();
    if (item.held) {
      ++held;
      to_the_end();
      continue;
    }
    held = 0;
    if (item.rest.cursor.left > 0) {
      const size_t before = item.rest.cursor.left;
      writer.Data(item.key.id, item.key.reply, item.rest.pieces, item.rest.keeper,
                  &item.rest.cursor);
      bytes_ -= before - item.rest.cursor.left;
    } else {
      // The item has no unsent bytes: write the next frame behind it, which may leave a rest of its
      // own.
      auto [bytes, later] = std::move(item.behind.front());
      item.behind.pop_front();
      bytes_ -= bytes;
      item.rest = std::move(later)(writer);
      bytes_ += item.rest.cursor.left;
    }
    if (item.rest.cursor.left > 0 || !item.behind.empty()) {
      to_the_end();
    } else {
      items_.pop_front();
      ended = true;
    }
  }
  return ended;
}

void FragmentQueue::Drop(FragmentKey key) {
  const auto it =
      std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.key == key; });
  if (it == items_.end()) return;
  bytes_ -= it->rest.cursor.left;
  for (const auto& [bytes, later] : it->behind) bytes_ -= bytes;
  items_.erase(it);
}

void FragmentQueue::Clear() {
  items_.clear();
  bytes_ = 0;
}

bool FragmentQueue::TakeOut(FragmentKey key, Rest* rest) {
  Item* const item = Find(key);
  if (item == nullptr || item->rest.cursor.left == 0) return false;
  item->held = true;
  // Copied without the mutex by the caller. Meanwhile Feed passes over the item, so the bytes stay
  // as they are.
  *rest = item->rest;
  return true;
}

void FragmentQueue::PutBack(FragmentKey key, Rest rest) {
  Item* const item = Find(key);
  if (item == nullptr) return;  // dropped meanwhile
  item->held = false;
  item->rest = std::move(rest);
}

}  // namespace weft::internal::native
