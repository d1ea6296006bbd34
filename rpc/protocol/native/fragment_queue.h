// Messages too large for one frame, on their way out: a frame of each in turn, whenever little is
// queued, so that small calls and other large ones go between.
//
//   calls:  [A: ▒▒▒▒▒░░░░ then: response] [B: ▒░░░░░]      Feed ──► DATA A, DATA B, DATA A …
//
// What one call sends stays in order: behind its unfinished message its later frames wait here.
//
// Threads  any, under the output queue's mutex
// Owns     the pieces, or shares their keeper
// Ends     an item goes when its last byte is queued, or by Drop
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAGMENT_QUEUE_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAGMENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/protocol/native/frame_writer.h"

namespace weft::native {

// Whose message: a call's number, and whether the call is the receiver's.
struct FragmentKey {
  uint64_t id = 0;
  bool reply = false;
  bool operator==(const FragmentKey&) const = default;
};

class FragmentQueue {
 public:
  // Writes a frame that had to wait; returns what is left of its message, whose pieces it moves to
  // the given place.
  struct Rest {
    std::vector<MessagePiece> pieces;
    std::shared_ptr<const void> keeper;
    PieceCursor cursor;
  };
  using Later = absl::AnyInvocable<Rest(FrameWriter&)>;

  bool empty() const { return items_.empty(); }
  // Bytes that wait here.
  size_t bytes() const { return bytes_; }
  bool Contains(FragmentKey key) { return !items_.empty() && Find(key) != nullptr; }

  // The call has none here yet.
  void Add(FragmentKey key, Rest rest);
  // `frame` is written when the call's message is out; it counts `bytes` until then.
  void Behind(FragmentKey key, size_t bytes, Later frame);
  // Appends frames, one of each call in turn, until `until` bytes are queued. True: a call's last
  // byte was queued.
  bool Feed(OutputQueue& queue, FrameWriter& writer, size_t until);
  void Drop(FragmentKey key);
  void Clear();

  // For a message whose bytes are only borrowed: takes it out, and puts it back when they have been
  // copied. Its call sends nothing meanwhile.
  bool TakeOut(FragmentKey key, Rest* rest);
  void PutBack(FragmentKey key, Rest rest);

 private:
  struct Item {
    FragmentKey key;
    Rest rest;
    bool held = false;  // taken out
    std::list<std::pair<size_t, Later>> behind;
  };
  Item* Find(FragmentKey key);

  std::list<Item> items_;
  size_t bytes_ = 0;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAGMENT_QUEUE_H_
