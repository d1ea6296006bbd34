// The receiving half of a stream: messages that wait to be read, the reader that waits for them,
// and what is known of the other side's initial metadata.
//
//   kOpen ──the peer's half-close, or the call's end──► kClosed
//   kOpen, kClosed ──Drop──► kDropped
//
// kOpen: messages may come. kClosed: what waits is read, then reading ends. kDropped: nobody reads
// any more; reading ends at once, and the credit of what still comes is given back by whoever
// brings it.
//
//   kUnknown ──SetInitialMetadata──► kThere
//   kUnknown ──a message, or an end──► kNone
//
// The bytes that wait are bounded by the credit that was given: SessionLimits::stream_window_bytes
// and one message more.
//
// A member of StreamPort.
//
// Threads  value; its stream's mutex guards it
// Owns     what came and was not taken
// Ends     in kDropped, or with its stream
#ifndef WEFT_RPC_CALL_STREAM_INBOX_H_
#define WEFT_RPC_CALL_STREAM_INBOX_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "weft/core/check.h"
#include "weft/rpc/call/read_batch.h"
#include "weft/rpc/call/stream_item.h"
#include "weft/rpc/call/stream_wake.h"

namespace weft::internal {

enum class StreamRead : uint8_t { kMessage, kEnd, kNothingYet };

class StreamInbox {
 public:
  // Smaller messages are copied, so that a slow reader does not hold the loop's memory.
  static constexpr size_t kCopyBelow = 1 << 10;

  enum class State : uint8_t { kOpen, kClosed, kDropped };
  static constexpr bool MayGo(State from, State to) {
    return to == State::kClosed ? from == State::kOpen
                                : to == State::kDropped && from != State::kDropped;
  }
  enum class Beginning : uint8_t { kUnknown, kThere, kNone };
  static constexpr bool MayGo(Beginning from, Beginning to) {
    return from == Beginning::kUnknown && to != Beginning::kUnknown;
  }

  State state() const { return state_; }
  Beginning beginning() const { return beginning_; }
  const StreamSource& source() const { return source_; }

  // ---- by the bringer of messages
  void SetSource(const StreamSource& source) { source_ = source; }
  // Adds a message. Returns the reader, if one waits.
  [[nodiscard]] StreamWake Add(ReceivedMessage message, size_t cost) {
    WEFT_DCHECK(state_ != State::kDropped);
    Keep(&message);
    items_.push_back({std::move(message), cost});
    cost_ += cost;
    return TakeWake(reader_);
  }
  // No more messages come. Returns the reader, if one waits.
  [[nodiscard]] StreamWake Close() {
    if (state_ == State::kOpen) set_state(State::kClosed);
    return TakeWake(reader_);
  }
  // These two settle whether there is initial metadata. They return the waiter for that knowledge.
  [[nodiscard]] StreamWake SetInitialMetadata() { return Begin(Beginning::kThere); }
  [[nodiscard]] StreamWake SetNoInitialMetadata() { return Begin(Beginning::kNone); }

  // ---- by the reader
  // kMessage: `*batch`, which must be empty, has all that waited.
  StreamRead Take(ReadBatch* batch);
  // Waits until a message comes, or none can come any more. False: it need not wait, and `wake` is
  // left alone.
  bool WaitForMessages(StreamWake& wake);
  // Waits until it is known whether there is initial metadata. False: it is known.
  bool WaitForBeginning(StreamWake& wake);
  StreamWake StopWaitingForMessages() { return TakeWake(reader_); }
  StreamWake StopWaitingForBeginning() { return TakeWake(awaits_beginning_); }

  // ---- by the side that ends the reading
  // Ends the reading. `*dropped`: the messages that waited, to be freed without the lock. Returns
  // their cost.
  [[nodiscard]] size_t Drop(std::vector<StreamItem>* dropped);

 private:
  // Size of a chunk that small messages share.
  static constexpr size_t kChunk = 16 << 10;

  void set_state(State to) {
    WEFT_DCHECK(MayGo(state_, to));
    state_ = to;
  }
  StreamWake Begin(Beginning how) {
    if (beginning_ != Beginning::kUnknown) return nullptr;
    WEFT_DCHECK(MayGo(beginning_, how));
    beginning_ = how;
    return TakeWake(awaits_beginning_);
  }
  // Copies small messages into a shared chunk. Large ones stay in the block in which they came.
  void Keep(ReceivedMessage* message);

  State state_ = State::kOpen;
  Beginning beginning_ = Beginning::kUnknown;
  StreamSource source_;
  std::vector<StreamItem> items_;
  size_t cost_ = 0;  // of items_
  BlockRef chunk_;
  // Bytes of `chunk_` that messages have.
  size_t chunk_used_ = 0;
  // At most one of each waits.
  StreamWake reader_;
  StreamWake awaits_beginning_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_INBOX_H_
