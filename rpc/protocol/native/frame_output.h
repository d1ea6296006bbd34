// The output of a native connection: frames one after another, and the pieces of large messages
// between them. NativeLink has one; the connection shares it.
//
//   any thread:  mutex ─► checks ─► FrameWriter ─► AddFragments, what did not fit ─► Claim, Flush
//   a flusher:   Feed, whenever little is queued ─► the next pieces, a frame of each message
//
// Every byte to the peer passes through here, in the order in which the mutex was taken.
//
// Threads  any; what is marked WEFT_REQUIRES: under the output's mutex
// Owns     the connection's output (ConnectionHandle), the messages that go out in pieces, the
//          peer's settings
// Errors   CheckRoom and Transform return why a message must not be sent
// Ends     SendLast and Clear: nothing is fed after them
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
#include "weft/rpc/protocol/native/room_waits.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal::native {

// Waits for room in the output.
class RoomWaiter {
 public:
  // There is room again. On the loop.
  virtual void OnRoom() = 0;

 protected:
  ~RoomWaiter() = default;
};

class FrameOutput final : public ConnectionHandle, private OutputFeeder {
 public:
  // From this size on a request or reply is written at once and not at the turn's end: while it is
  // in the cache.
  static constexpr size_t kWriteAtOnce = size_t{256} << 10;
  // Streams may send while fewer bytes than this wait.
  static constexpr size_t kStreamRoom = size_t{256} << 10;

  FrameOutput(std::shared_ptr<EventLoop> loop, std::unique_ptr<Transport> transport,
              std::string peer, std::shared_ptr<const SessionLimits> limits, InputBudgets input,
              ConnectionEnd this_end);

  // For texts of limits: Errors::OwnSetting, Errors::PeerSetting.
  const ConnectionEnd end;

  const SessionLimits& limits() const { return *limits_; }
  // The peer's settings; before its Hello all zero.
  const PeerSettings& settings() WEFT_REQUIRES(output().mutex()) { return settings_; }
  // The same for the loop, without the mutex: the loop itself writes them, once.
  const PeerSettings& agreement() const WEFT_LOOP_ONLY WEFT_NO_THREAD_ANALYSIS { return settings_; }
  void SetSettings(const PeerSettings& settings) WEFT_REQUIRES(output().mutex()) {
    settings_ = settings;
  }
  // Sets the object to tell of room. It is kept alive only while it is told.
  void SetRoomWaiter(std::weak_ptr<RoomWaiter> waiter) { room_waiter_ = std::move(waiter); }

  // ---- before something is written
  size_t Waiting() WEFT_REQUIRES(output().mutex()) {
    return output().queued() + fragments_.bytes();
  }
  // True if `size` bytes more are so few that CheckRoom would allow them.
  bool HasRoom(size_t size) WEFT_REQUIRES(output().mutex()) {
    return Waiting() + size <= unchecked_;
  }
  // True if `size` bytes more must not be queued before others are written.
  bool Full(size_t size) WEFT_REQUIRES(output().mutex()) {
    return Waiting() > 0 && Waiting() + size > limits_->MaxOutput();
  }
  // Returns why `size` bytes more, of this side's request or reply, must not be queued, or OK.
  absl::Status CheckRoom(Side side, size_t size) WEFT_REQUIRES(output().mutex());
  // Compresses the message and appends the attachment, as far as the peer takes them; an error for
  // an attachment that it does not take. `pieces` hold the message. `shared`: the same message with
  // its compressed forms, or null.
  absl::Status Transform(Compression codec, const absl::Cord* attachment, bool of_stream,
                         OutMessage* out, std::vector<MessagePiece>* pieces,
                         const SerializedRequest* shared = nullptr);
  // Returns why these pairs must not be sent before a reply, or OK.
  absl::Status CheckInitialMetadata(const Metadata& pairs) WEFT_REQUIRES(output().mutex());

  // ---- what is written behind the rest
  FrameWriter Writer() WEFT_REQUIRES(output().mutex()) {
    return FrameWriter(output(), std::max(settings_.max_frame, kMinFrame));
  }
  void WriteWindow(uint64_t id, bool reply, size_t bytes) WEFT_REQUIRES(output().mutex());
  // Writes claimed output: at the turn's end if more is to come in it, else now.
  void Flush(bool claimed, bool gather, bool large) {
    if (!claimed) return;
    if (gather && !large) {
      FlushOnLoop();
    } else {
      FlushNow();
    }
  }
  // The same for a caller that still holds the output's mutex; releases it.
  void Flush(MutexLock& held, bool claimed, bool gather, bool large)
      WEFT_REQUIRES(output().mutex()) WEFT_NO_THREAD_ANALYSIS {
    if (claimed && (large || !gather)) {
      FlushNow(held);
    } else {
      held.Unlock();
      if (claimed) FlushOnLoop();
    }
  }
  // Answers a call for which no InboundCall was made.
  void SendError(uint64_t id, const absl::Status& status, bool not_executed) WEFT_LOOP_ONLY;
  void SendFrame(const FrameHeader& header, std::string_view bytes) WEFT_LOOP_ONLY;
  // Writes the connection's last frame; null: none. Nothing is written behind it, not even the rest
  // of begun messages.
  void SendLast(const FrameHeader* header, std::string_view bytes) WEFT_LOOP_ONLY;

  // ---- messages in pieces
  bool fragmented() WEFT_REQUIRES(output().mutex()) { return !fragments_.empty(); }
  bool Fragmented(FragmentKey key) WEFT_REQUIRES(output().mutex()) {
    return fragments_.Contains(key);
  }
  // Keeps the rest of a message whose first frame was just written; may move `pieces`.
  void AddFragments(FragmentKey key, const PieceCursor& cursor, OutMessage& out,
                    std::vector<MessagePiece>& pieces) WEFT_REQUIRES(output().mutex());
  // Writes `frame` after the call's messages in the fragment queue.
  void SendBehind(FragmentKey key, size_t bytes, FragmentQueue::Later frame)
      WEFT_REQUIRES(output().mutex());
  void DropFragments(FragmentKey key) WEFT_REQUIRES(output().mutex());
  void Clear() WEFT_REQUIRES(output().mutex()) { fragments_.Clear(); }
  // Tells `observer` when there is room for `size` bytes. Call it after CheckRoom has refused them.
  void AwaitRoomFor(size_t size, std::weak_ptr<RoomObserver> observer)
      WEFT_REQUIRES(output().mutex());
  // Takes all waiters for room that will not come here; the caller must tell them.
  [[nodiscard]] RoomWaits::Observers GiveUpRoom() WEFT_REQUIRES(output().mutex()) {
    return room_waits_.TakeAll();
  }
  // Tells them on the loop, later; here if the loop has closed.
  void Tell(RoomWaits::Observers observers) WEFT_EXCLUDES(output().mutex());
  // Copies bytes of the caller's own that the kernel has not taken. Without the mutex, for they may
  // be many.
  void OwnBorrowed(uint64_t id);
  // Asks for OnRoom once less than kStreamRoom waits.
  void AwaitRoom() WEFT_REQUIRES(output().mutex());

  // True if so much waits that the peer does not read.
  bool OverLimit() WEFT_LOOP_ONLY;

 private:
  // How many bytes of large messages are queued ahead.
  static constexpr size_t kFeedTo = size_t{256} << 10;

  // OutputFeeder
  void Feed(OutputQueue& queue) override WEFT_NO_THREAD_ANALYSIS;
  void UpdateFeed() WEFT_REQUIRES(output().mutex());
  void BreakForMemory(uint64_t id);

  // Fixed at construction.
  const std::shared_ptr<const SessionLimits> limits_;
  // Below this many waiting bytes no limit can be near.
  const size_t unchecked_;
  std::weak_ptr<RoomWaiter> room_waiter_;  // set before the first flush

  // Under the output's mutex.
  PeerSettings settings_ WEFT_GUARDED_BY(output().mutex());
  FragmentQueue fragments_ WEFT_GUARDED_BY(output().mutex());
  bool room_awaited_ WEFT_GUARDED_BY(output().mutex()) = false;
  RoomWaits room_waits_ WEFT_GUARDED_BY(output().mutex());
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_OUTPUT_H_
