// Messages too large for one frame, on their way out. While little output is queued, Feed appends
// one frame of each message in turn, so that small calls and other large ones go between. A part of
// FrameOutput.
//
//   calls:  [A: ▒▒▒▒▒░░░░ then: response] [B: ▒░░░░░]      Feed ──► DATA A, DATA B, DATA A …
//
// One call's frames stay in order: frames behind its unfinished message wait here.
//
// Threads  any, under the output queue's mutex
// Owns     the pieces, or a share of their keeper
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

namespace weft::internal::native {

// The message of a call: the call's number, and true if the receiver started the call.
struct FragmentKey {
  uint64_t id = 0;
  bool reply = false;
  bool operator==(const FragmentKey&) const = default;
};

class FragmentQueue {
 public:
  // The unsent rest of a message. `Later` writes a frame that had to wait and returns the rest of
  // its message.
  struct Rest {
    std::vector<MessagePiece> pieces;
    std::shared_ptr<const void> keeper;
    PieceCursor cursor;
  };
  using Later = absl::AnyInvocable<Rest(FrameWriter&)>;

  bool empty() const { return items_.empty(); }
  // Number of waiting bytes.
  size_t bytes() const { return bytes_; }
  bool Contains(FragmentKey key) { return !items_.empty() && Find(key) != nullptr; }

  // Adds the rest of a message. The call has none here yet.
  void Add(FragmentKey key, Rest rest);
  // Writes `frame` when the call's message is out; counts `bytes` until then.
  void Behind(FragmentKey key, size_t bytes, Later frame);
  // Appends frames, one of each call in turn, until `until` bytes are queued. True: some call's
  // last byte was queued.
  bool Feed(OutputQueue& queue, FrameWriter& writer, size_t until);
  void Drop(FragmentKey key);
  void Clear();

  // Takes a message out, so that its borrowed bytes can be copied without the mutex, and puts it
  // back. Its call sends nothing meanwhile.
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

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAGMENT_QUEUE_H_
