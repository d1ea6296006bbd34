// The queue of bytes to be written on one connection. Any thread appends; one flusher at a time
// writes.
//
//   segments: [block bytes][block bytes][shared bytes]…     small appends run together in the
//             ▲ flusher takes from here      ▲ append here  tail block; large ones are referenced,
//                                                           not copied
//
//   kIdle ──Claim──► kClaimed ──Flush──► kIdle (all is taken) | kBlocked (the kernel is full)
//                       ▲                                     | kClosed      │
//                       └────────────────── OnWritable ──────────────────────┘
//
// A thread that appends to an idle queue claims it, and has to flush it or to have it flushed. All
// others just append, for the flusher looks again before it leaves.
//
// Threads  any, under mutex() where said so
// Owns     its transport, closed under the mutex or by the last flusher; its blocks
// Errors   Flush says that the connection broke, with errno; ENOMEM where there was no memory to
//          queue what was appended. TryReserve and OwnBorrowed say when there is none
// Ends     after Seal nothing is queued any more, and what was is still written; after Close that
//          is dropped, too
#ifndef WEFT_CORE_OUTPUT_QUEUE_H_
#define WEFT_CORE_OUTPUT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/block_pool.h"
#include "weft/core/mutex.h"
#include "weft/core/output_account.h"
#include "weft/core/output_budget.h"
#include "weft/core/output_segments.h"
#include "weft/core/output_tail.h"
#include "weft/core/thread_contract.h"
#include "weft/core/transport.h"

namespace weft::internal {

class OutputQueue;

// Has more to send than it wants to queue at once: asked for it piece by piece, so that what others
// append meanwhile comes between.
class OutputFeeder {
 public:
  // Little is queued. Appends some, and says by SetFeed what it wants next. Under the queue's
  // mutex.
  virtual void Feed(OutputQueue& queue) = 0;

 protected:
  ~OutputFeeder() = default;
};

class WEFT_ANY_THREAD OutputQueue {
 public:
  // The result of a flush.
  enum class Flushed : uint8_t {
    kAll,      // nothing is left
    kBlocked,  // the loop must watch for writability and then call Flush after Unblock
    kBroken,   // the connection failed; error() has the errno
    kClosed,   // somebody closed it
  };

  // The event that a feeder waits for.
  enum class Wants : uint8_t {
    kNothing,
    kRoom,    // to be told that little is queued
    kToSend,  // the same, and what it will append belongs to what is to be written
  };
  // Less than this is little.
  static constexpr size_t kFeedBelow = 128 << 10;

  // `budget`: what it shares with other queues; may be null. `blocks`: where its larger blocks come
  // from; outlives it; null: from malloc.
  explicit OutputQueue(std::unique_ptr<Transport> transport,
                       std::shared_ptr<OutputBudget> budget = nullptr, BlockPool* blocks = nullptr);
  ~OutputQueue();
  OutputQueue(const OutputQueue&) = delete;
  OutputQueue& operator=(const OutputQueue&) = delete;

  Mutex& mutex() WEFT_RETURN_CAPABILITY(mu_) { return mu_; }

  // Room for `n` contiguous bytes, valid until the next append. Commit says how many of them were
  // written. Null: there is no memory for a block of Block::kMapFrom and more.
  char* TryReserve(size_t n) WEFT_REQUIRES(mu_) { return tail_.TryReserve(n); }
  // The same for fewer, of which there is always room.
  char* Reserve(size_t n) WEFT_REQUIRES(mu_) { return tail_.Reserve(n); }
  void Commit(size_t n) WEFT_REQUIRES(mu_);

  // Bytes by reference: of a block, or of anything that `keeper` keeps alive. Without a keeper they
  // are borrowed: whoever appends them calls OwnBorrowed before they go.
  void AppendBlock(BlockRef block, const char* data, size_t size) WEFT_REQUIRES(mu_);
  void AppendShared(std::shared_ptr<const void> keeper, const char* data, size_t size)
      WEFT_REQUIRES(mu_);

  // Copies what is borrowed and not written yet; waits for a write under way, which does not block.
  // False: there is no memory for it.
  [[nodiscard]] bool OwnBorrowed() WEFT_EXCLUDES(mu_);
  // Drops the queued bytes, for they cannot be written as a whole: the flusher finds the connection
  // broken, with ENOMEM. Waits like OwnBorrowed. True: the caller has to flush.
  [[nodiscard]] bool Break() WEFT_EXCLUDES(mu_);

  // Called after appending. True: the caller has to flush, or to have it flushed. False: another
  // thread does, or the queue is closed.
  bool Claim() WEFT_REQUIRES(mu_) {
    if (state_ != State::kIdle || queued_ == 0) return false;
    state_ = State::kClaimed;
    return true;
  }

  // `feeder` lives as long as the queue. It is asked by whoever flushes; one that wants something
  // while nothing is queued is asked when something is.
  // `held`: the bytes that it still has.
  void SetFeed(OutputFeeder* feeder, Wants wants, size_t held) WEFT_REQUIRES(mu_) {
    feeder_ = feeder;
    wants_ = wants;
    held_ = held;
    account_.Set(unsent());
  }
  // Nothing is left to write, a feeder's included.
  bool Empty() const WEFT_REQUIRES(mu_) { return queued_ == 0 && wants_ != Wants::kToSend; }

  // For the thread that claimed: writes until nothing is left or the kernel takes no more.
  Flushed Flush() WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return Flush(lock);
  }
  // The same, for a caller that has held the mutex since the claim. `held` is mutex()'s lock; it is
  // released while the transport writes.
  Flushed Flush(MutexLock& held) WEFT_REQUIRES(mu_);

  // The descriptor is writable again: the caller has claimed it, unless this says false.
  bool Unblock() WEFT_EXCLUDES(mu_);

  // Drops what is queued and closes the transport, at once or as soon as the flusher is out of it.
  void Close() WEFT_EXCLUDES(mu_);

  // Makes the bytes appended so far the connection's last: later ones are dropped, and no feeder is
  // asked.
  void Seal() WEFT_REQUIRES(mu_) {
    sealed_ = true;
    SetFeed(nullptr, Wants::kNothing, 0);
  }
  // Takes nothing any more.
  bool sealed() const WEFT_REQUIRES(mu_) { return sealed_; }
  bool closed() const WEFT_REQUIRES(mu_) { return state_ == State::kClosed; }
  // Bytes appended that the kernel has not taken yet.
  size_t queued() const WEFT_REQUIRES(mu_) { return queued_; }
  // The same, with what a feeder still has.
  size_t unsent() const WEFT_REQUIRES(mu_) { return queued_ + held_; }
  // The part of unsent() that the budget knows of, less than a step away from it. Needs no mutex:
  // for callers that look often and rarely find much.
  size_t counted() const { return account_.counted(); }
  // True if `more` bytes need CheckBudget. A queue that holds little with them need not ask.
  bool AsksBudget(size_t more) const WEFT_REQUIRES(mu_) {
    return account_.NeedsCheck(unsent(), more);
  }
  // Why `more` bytes must not be appended as far as all queues together are concerned, or OK. The
  // names are for the text.
  absl::Status CheckBudget(size_t more, std::string_view side, std::string_view whose) const
      WEFT_REQUIRES(mu_) {
    return account_.Check(unsent(), more, side, whose);
  }
  int error() const { return error_; }
  // Positions in the stream, since the beginning: bytes the kernel may have taken (while a write is
  // under way: all that is queued), and bytes appended.
  uint64_t offered() const WEFT_REQUIRES(mu_) { return in_write_ ? written_ + queued_ : written_; }
  uint64_t appended() const WEFT_REQUIRES(mu_) { return written_ + queued_; }
  // How much of the stream the other end has taken, as far as the transport can tell; perhaps less,
  // never more. Only for the loop, and only before Close.
  uint64_t Acknowledged() WEFT_EXCLUDES(mu_);

  // Gives back the tail block when nothing is queued: for connections gone quiet. The next bytes,
  // mostly a heartbeat, get a small block that is not kept after it was written.
  void Trim() WEFT_EXCLUDES(mu_);

  // Only for the loop, and only before Close.
  Transport& transport() { return *transport_; }

 private:
  enum class State : uint8_t { kIdle, kClaimed, kBlocked, kClosed };
  static constexpr int kMaxPieces = 64;

  // For the end of a write that is under way, which lasts only a moment.
  void AwaitWrite(MutexLock& lock) WEFT_REQUIRES(mu_);
  void SetTaken(size_t n) WEFT_REQUIRES(mu_);
  void Drop() WEFT_REQUIRES(mu_);
  void Push(OutputSegments::Segment segment) WEFT_REQUIRES(mu_);
  // Push of what stands in the tail block.
  void PushTail(const char* data, size_t n) WEFT_REQUIRES(mu_);

  Mutex mu_;
  State state_ WEFT_GUARDED_BY(mu_) = State::kIdle;
  bool in_write_ WEFT_GUARDED_BY(mu_) = false;  // a flusher is inside Write, without the mutex
  bool lost_ WEFT_GUARDED_BY(mu_) = false;      // something could not be queued
  bool sealed_ WEFT_GUARDED_BY(mu_) = false;    // since Close at the latest
  OutputSegments segments_ WEFT_GUARDED_BY(mu_);
  OutputTail tail_ WEFT_GUARDED_BY(mu_);
  OutputAccount account_;  // changed under mu_
  size_t queued_ WEFT_GUARDED_BY(mu_) = 0;
  uint64_t written_ WEFT_GUARDED_BY(mu_) = 0;
  OutputFeeder* feeder_ WEFT_GUARDED_BY(mu_) = nullptr;
  Wants wants_ WEFT_GUARDED_BY(mu_) = Wants::kNothing;
  size_t held_ WEFT_GUARDED_BY(mu_) = 0;  // by the feeder
  int error_ = 0;                         // the flusher's
  std::unique_ptr<Transport> transport_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_OUTPUT_QUEUE_H_
