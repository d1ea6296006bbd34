// The output of a native connection: frames behind each other, and the large messages whose pieces
// go between them.
//
//   any thread:  mutex ─► checks ─► FrameWriter ─► AddFragments, what did not fit ─► Claim, Flush
//   a flusher:   Feed, whenever little is queued ─► the next pieces, a frame of each message
//
// Everything that is said to the peer passes here, in the order in which the mutex was taken.
//
// Threads  any; what is marked WEFT_REQUIRES: under the output's mutex
// Owns     the connection's output (ConnectionHandle), the messages that go out in pieces, what the
//          peer has said that it takes
// Errors   CheckRoom and Transform say why something must not be sent
// Ends     SendLast and Clear: nothing is fed any more
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_OUTPUT_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_OUTPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "weft/core/connection_handle.h"
#include "weft/rpc/call/outgoing_request.h"
#include "weft/rpc/protocol/native/errors.h"
#include "weft/rpc/protocol/native/fragment_queue.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::native {

// Waits for room in the output.
class RoomWaiter {
 public:
  // There was none, and is some now. On the loop.
  virtual void OnRoom() = 0;

 protected:
  ~RoomWaiter() = default;
};

class FrameOutput final : public ConnectionHandle, private OutputFeeder {
 public:
  // From so many bytes on, a request or reply is written at once instead of at the turn's end:
  // while it is in the cache.
  static constexpr size_t kWriteAtOnce = size_t{256} << 10;
  // Until so many bytes wait, streams may send.
  static constexpr size_t kStreamRoom = size_t{256} << 10;

  FrameOutput(std::shared_ptr<EventLoop> loop, std::unique_ptr<Transport> transport,
              std::string peer, std::shared_ptr<const SessionLimits> limits, InputBudgets input);

  const SessionLimits& limits() const { return *limits_; }
  // What the peer takes; before its Hello, nothing.
  const PeerSettings& settings() WEFT_REQUIRES(output().mutex()) { return settings_; }
  // The same, for the loop, which writes it once: it needs no mutex.
  const PeerSettings& agreement() const LOOP_ONLY WEFT_NO_THREAD_ANALYSIS { return settings_; }
  void SetSettings(const PeerSettings& settings) WEFT_REQUIRES(output().mutex()) {
    settings_ = settings;
  }
  // Who is told of room. Kept alive while it is told, and no longer.
  void SetRoomWaiter(std::weak_ptr<RoomWaiter> waiter) { room_waiter_ = std::move(waiter); }

  // ---- before something is written
  size_t Waiting() WEFT_REQUIRES(output().mutex()) {
    return output().queued() + fragments_.bytes();
  }
  // So little waits with `size` bytes more that CheckRoom need not be asked.
  bool HasRoom(size_t size) WEFT_REQUIRES(output().mutex()) {
    return Waiting() + size <= unchecked_;
  }
  // Why `size` bytes more, of a request or a reply of this side, must not be queued, or OK.
  absl::Status CheckRoom(Side side, size_t size) WEFT_REQUIRES(output().mutex());
  // Compresses the message and puts the attachment behind it, as far as the peer takes it (an error
  // for an attachment that it does not). `pieces` hold the message. `shared`: so does this, which
  // keeps its compressed forms; or null.
  absl::Status Transform(Compression codec, const absl::Cord* attachment, bool of_stream,
                         OutMessage* out, std::vector<MessagePiece>* pieces,
                         const SerializedRequest* shared = nullptr);
  // Why these must not be sent before a reply, or OK.
  absl::Status CheckInitialMetadata(const Metadata& pairs) WEFT_REQUIRES(output().mutex());

  // ---- what is written behind the rest
  FrameWriter Writer() WEFT_REQUIRES(output().mutex()) {
    return FrameWriter(output(), std::max(settings_.max_frame, kMinFrame));
  }
  void WriteWindow(uint64_t id, bool reply, size_t bytes) WEFT_REQUIRES(output().mutex());
  // Writes what was claimed: at the turn's end where more comes until then, else now.
  void Flush(bool claimed, bool gather, bool large) {
    if (!claimed) return;
    if (gather && !large) {
      FlushOnLoop();
    } else {
      FlushNow();
    }
  }
  // The same, by who still holds the output's mutex, which this lets go.
  void Flush(MutexLock& held, bool claimed, bool gather, bool large)
      WEFT_REQUIRES(output().mutex()) WEFT_NO_THREAD_ANALYSIS {
    if (claimed && (large || !gather)) {
      FlushNow(held);
    } else {
      held.Unlock();
      if (claimed) FlushOnLoop();
    }
  }
  // Answers a call that no InboundCall was made for.
  void SendError(uint64_t id, const absl::Status& status, bool not_executed) LOOP_ONLY;
  void SendFrame(const FrameHeader& header, std::string_view bytes) LOOP_ONLY;
  // The last of this connection, or with null none: nothing is written behind it, not even the rest
  // of what has begun.
  void SendLast(const FrameHeader* header, std::string_view bytes) LOOP_ONLY;

  // ---- messages in pieces
  bool fragmented() WEFT_REQUIRES(output().mutex()) { return !fragments_.empty(); }
  bool Fragmented(FragmentKey key) WEFT_REQUIRES(output().mutex()) {
    return fragments_.Contains(key);
  }
  // Keeps what does not fit into the frame just written; `pieces` may be moved.
  void AddFragments(FragmentKey key, const PieceCursor& cursor, OutMessage& out,
                    std::vector<MessagePiece>& pieces) WEFT_REQUIRES(output().mutex());
  // `frame` is written when what the call has in the fragment queue is out.
  void SendBehind(FragmentKey key, size_t bytes, FragmentQueue::Later frame)
      WEFT_REQUIRES(output().mutex());
  void DropFragments(FragmentKey key) WEFT_REQUIRES(output().mutex());
  void Clear() WEFT_REQUIRES(output().mutex()) { fragments_.Clear(); }
  // Copies what the kernel has not taken of a caller's own bytes; without the mutex, for they may
  // be many.
  void OwnBorrowed(uint64_t id);
  // Asks for OnRoom, when less than kStreamRoom waits.
  void AwaitRoom() WEFT_REQUIRES(output().mutex());

  // So much waits that the peer does not read.
  bool OverLimit() LOOP_ONLY;

 private:
  // How far pieces of large messages are queued ahead.
  static constexpr size_t kFeedTo = size_t{256} << 10;

  // OutputFeeder
  void Feed(OutputQueue& queue) override WEFT_NO_THREAD_ANALYSIS;
  void UpdateFeed() WEFT_REQUIRES(output().mutex());
  void BreakForMemory(uint64_t id);

  // Fixed at construction.
  const std::shared_ptr<const SessionLimits> limits_;
  // So much may wait to be written before a limit can be near.
  const size_t unchecked_;
  std::weak_ptr<RoomWaiter> room_waiter_;  // set before the first flush

  // Under the output's mutex.
  PeerSettings settings_ WEFT_GUARDED_BY(output().mutex());
  FragmentQueue fragments_ WEFT_GUARDED_BY(output().mutex());
  bool room_awaited_ WEFT_GUARDED_BY(output().mutex()) = false;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_OUTPUT_H_
