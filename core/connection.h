// A byte stream on one transport, bound for life to one loop.
//
//   read:  [ direct: the owner's own memory ][ rest: an unfinished frame ][ the loop's arena ]
//          in one readv; the owner is given the bytes after `direct` as one run and says how many
//          it has used; an unfinished frame is copied to `rest`, which has room for exactly that
//          frame
//   write: OutputQueue; flushed by whoever claimed it, in the end by this loop
//
// Past the high watermark of unsent bytes reading may be paused until the low one (see
// PauseReadsAbove).
//
// Threads  loop-only; other threads hold the ConnectionHandle
// Owns     its watch and its unfinished input, counted in the handle's account; shares its output
//          with the handle
// Errors   read and write errors end it with UNAVAILABLE that names the call and errno; an
//          unfinished frame that there is no memory for, or that its account refuses, with
//          RESOURCE_EXHAUSTED
// Ends     OnClosed runs exactly once, with the reason; no callback follows it. The owner destroys
//          the connection in a later turn, not inside a callback
#ifndef WEFT_CORE_CONNECTION_H_
#define WEFT_CORE_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/connection_handle.h"
#include "weft/core/event_loop.h"
#include "weft/core/input_arena.h"
#include "weft/core/read_ahead.h"
#include "weft/core/thread_contract.h"
#include "weft/core/watch.h"
#include "weft/core/watermark.h"

namespace weft::internal {

// Describes the input that the owner of a connection wants next.
struct InputNeed {
  // The owner's memory to read into, before anything else; `direct_size` bytes of it are missing.
  // The owner sets it only after it has used all bytes it was given. OnBytes comes again only when
  // all of it was filled.
  char* direct = nullptr;
  size_t direct_size = 0;
  // How much to read behind it at most: little, when what follows is to be read directly too.
  size_t behind_direct = SIZE_MAX;
  // The room that the frame gets whose beginning was left over: its whole size, or less where that
  // is only announced; OnBytes comes again when it is full. 0, as before each OnBytes: not known
  // yet.
  size_t frame = 0;
};

// The owner: a protocol's session.
class ConnectionOwner {
 public:
  // `direct` bytes of InputNeed::direct were filled.
  virtual void OnDirect(size_t direct) = 0;
  // A run of bytes, in `block`. Returns how many were used; what is left comes again, with more
  // behind it. The owner may close the connection inside, and then returns anything.
  virtual size_t OnBytes(const BlockRef& block, const char* data, size_t size, InputNeed* need) = 0;
  // After all that one read brought.
  virtual void OnReadEnd() = 0;
  // The connection is over. `reason` is OK when the peer closed it in an orderly way; `pending` is
  // the number of bytes left over, not used (a truncated frame).
  virtual void OnClosed(const absl::Status& reason, size_t pending) = 0;

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : private WatchEvents {
 public:
  // Bytes taken in one turn from one connection before others have theirs.
  static constexpr size_t kReadAtOnce = 1 << 20;

  Connection(EventLoop& loop, InputArena& arena, std::shared_ptr<ConnectionHandle> handle,
             ConnectionOwner* owner);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to read. `watch`: of its transport, where somebody has watched for bytes before; null:
  // it makes one.
  absl::Status Start(std::unique_ptr<Watch> watch = nullptr) WEFT_LOOP_ONLY;
  // Hands out what was read before, as if it had been read now. After Start, before the next read.
  void Take(const ReadAhead& first) WEFT_LOOP_ONLY;

  // Ends it now. OnClosed runs before Close returns, unless it has run. Unsent output is dropped.
  void Close(const absl::Status& reason) WEFT_LOOP_ONLY;
  // Writes what is queued, then closes; when `limit` comes first, closes anyway. Nothing that the
  // peer sends from now on is handed out. kDelivered: before it closes it waits until the peer has
  // all of it, too, or has closed its side.
  enum class Until : uint8_t { kWritten, kDelivered };
  void CloseAfterFlush(const absl::Status& reason, Nanos limit,
                       Until until = Until::kWritten) WEFT_LOOP_ONLY;

  bool closed() const WEFT_LOOP_ONLY { return closed_; }
  const std::shared_ptr<ConnectionHandle>& handle() const { return handle_; }

  // From the flusher, on the loop: what the flush came to.
  void Flushed(OutputQueue::Flushed result) WEFT_LOOP_ONLY;

  // The owner's memory that it asked for is no longer to be read into. The bytes come to OnBytes.
  void ForgetDirect() WEFT_LOOP_ONLY;

  // Stops reading while more than `high` bytes are unsent, until `low`; 0 and 0: never.
  void PauseReadsAbove(size_t low, size_t high) WEFT_LOOP_ONLY;

  // Reading is paused: what the peer says stays unread.
  bool paused() const WEFT_LOOP_ONLY { return paused_; }
  // Reads nothing more until it is told so; what the peer sends meanwhile waits in the kernel.
  void HoldReads(bool held) WEFT_LOOP_ONLY;
  // When it was last paused and goes on.
  MonoTime resumed() const WEFT_LOOP_ONLY { return resumed_; }

  MonoTime last_read() const WEFT_LOOP_ONLY { return last_read_; }
  uint64_t bytes_read() const WEFT_LOOP_ONLY { return bytes_read_; }

 private:
  // An end that waits for its output.
  struct Closing {
    Closing(const absl::Status& w, Until u) : why(w), until(u) {}
    const absl::Status why;
    const Until until;
    bool output_ended = false;  // waits for the peer's end of file
    std::unique_ptr<Timer> limit;
  };

  void OnReadable() override;
  void OnWritable() override;
  void OnWatchFailed(const absl::Status& why) override;
  // One read. False: stop reading for now (short read, end, error).
  bool ReadOnce() WEFT_LOOP_ONLY;
  void AfterRead() WEFT_LOOP_ONLY;
  bool Distribute(size_t n, size_t direct, size_t rest_room) WEFT_LOOP_ONLY;
  void HandOut(const BlockRef& block, const char* data, size_t n) WEFT_LOOP_ONLY;
  size_t CompleteRest(const char* data, size_t n) WEFT_LOOP_ONLY;
  bool KeepRest(const char* data, size_t size) WEFT_LOOP_ONLY;
  void DropRest() WEFT_LOOP_ONLY;
  bool CloseWithoutMemory(size_t size) WEFT_LOOP_ONLY;
  void UpdatePause() WEFT_LOOP_ONLY;
  void EndOutput() WEFT_LOOP_ONLY;
  void ReadToEnd() WEFT_LOOP_ONLY;
  void WatchRead(bool on) WEFT_LOOP_ONLY;
  void WatchWrite(bool on) WEFT_LOOP_ONLY;
  void StopWatch() WEFT_LOOP_ONLY;

  // Fixed at construction.
  EventLoop& loop_;
  InputArena& arena_;
  const std::shared_ptr<ConnectionHandle> handle_;
  ConnectionOwner* const owner_;

  // The loop's own.
  std::unique_ptr<Watch> watch_ WEFT_LOOP_OWNED;  // from Start on
  InputNeed need_ WEFT_LOOP_OWNED;
  BlockRef rest_ WEFT_LOOP_OWNED;
  size_t rest_size_ WEFT_LOOP_OWNED = 0;
  size_t rest_room_ WEFT_LOOP_OWNED = 0;  // up to the end of the frame; the block may have more
  std::unique_ptr<Watermark> pause_ WEFT_LOOP_OWNED;
  bool reads_held_ WEFT_LOOP_OWNED = false;
  bool paused_ WEFT_LOOP_OWNED = false;   // by one of the two
  bool blocked_ WEFT_LOOP_OWNED = false;  // the kernel took no more; waiting until it does
  bool closed_ WEFT_LOOP_OWNED = false;
  std::unique_ptr<Closing> closing_ WEFT_LOOP_OWNED;  // from CloseAfterFlush to the end
  MonoTime last_read_ WEFT_LOOP_OWNED{};
  MonoTime resumed_ WEFT_LOOP_OWNED{};
  uint64_t bytes_read_ WEFT_LOOP_OWNED = 0;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CONNECTION_H_
