#include "weft/core/output_queue.h"

#include <errno.h>
#include <sched.h>

#include <utility>

#include "absl/base/attributes.h"
#include "weft/core/check.h"

namespace weft::internal {

OutputQueue::OutputQueue(std::unique_ptr<Transport> transport, std::shared_ptr<OutputBudget> budget,
                         BlockPool* blocks)
    : tail_(blocks), account_(std::move(budget)), transport_(std::move(transport)) {}

// Without the mutex: no other thread has a reference any more.
OutputQueue::~OutputQueue() WEFT_NO_THREAD_ANALYSIS { Drop(); }

// A segment that cannot be queued for want of memory is lost, and so is the connection.
void OutputQueue::Push(OutputSegments::Segment segment) {
  if (!segments_.TryPush(std::move(segment))) lost_ = true;
}

bool OutputQueue::Break() {
  MutexLock lock(mu_);
  AwaitWrite(lock);
  if (state_ == State::kClosed) return false;
  lost_ = true;
  Drop();
  // Claimed for good, so that no appender flushes. The caller that gets true has to see to the
  // loss.
  return std::exchange(state_, State::kClaimed) != State::kClaimed;
}

void OutputQueue::Commit(size_t n) {
  const char* const data = tail_.Use(n);
  // Sealed: the end of the output was promised to the peer, so what comes later is dropped.
  if (sealed_ || n == 0) return;
  queued_ += n;
  if (!segments_.TryExtend(tail_.block().get(), data, n)) return PushTail(data, n);
  account_.SetMore(unsent());
}

ABSL_ATTRIBUTE_NOINLINE void OutputQueue::PushTail(const char* data, size_t n) {
  account_.SetMore(unsent());
  Push({data, n, tail_.block(), nullptr});
}

void OutputQueue::AppendBlock(BlockRef block, const char* data, size_t size) {
  if (sealed_ || size == 0) return;
  queued_ += size;
  account_.SetMore(unsent());
  Push({data, size, std::move(block), nullptr});
}

void OutputQueue::AppendShared(std::shared_ptr<const void> keeper, const char* data, size_t size) {
  if (sealed_ || size == 0) return;
  queued_ += size;
  account_.SetMore(unsent());
  Push({data, size, BlockRef(), std::move(keeper)});
}

// Waits until no write is under way: during one the kernel copies from the queued pieces. Writes do
// not block, so yielding is enough, and flushers need not signal.
void OutputQueue::AwaitWrite(MutexLock& lock) WEFT_NO_THREAD_ANALYSIS {
  while (in_write_) {
    lock.Unlock();
    ::sched_yield();
    lock.Lock();
  }
}

bool OutputQueue::OwnBorrowed() {
  MutexLock lock(mu_);
  AwaitWrite(lock);
  return segments_.OwnBorrowed(tail_);
}

void OutputQueue::SetTaken(size_t n) {
  WEFT_DCHECK(n <= queued_);
  queued_ -= n;
  written_ += n;
  account_.Set(unsent());
  segments_.Take(n);
  if (segments_.empty() && tail_.SetAllWritten()) segments_.Trim();
}

OutputQueue::Flushed OutputQueue::Flush(MutexLock& held) WEFT_NO_THREAD_ANALYSIS {
  iovec pieces[kMaxPieces];
  for (;;) {
    if (state_ == State::kClosed) return Flushed::kClosed;
    WEFT_DCHECK(state_ == State::kClaimed && !in_write_);
    if (lost_) {
      error_ = ENOMEM;  // stays claimed
      return Flushed::kBroken;
    }
    // Fed before the pieces are gathered, so that the feeder's bytes go out with this write.
    if (wants_ != Wants::kNothing && queued_ < kFeedBelow) feeder_->Feed(*this);
    const int count = segments_.Gather(pieces, kMaxPieces);
    if (count == 0) {
      // Idle under the mutex that appenders hold: bytes appended before were gathered, and a later
      // appender finds the queue idle and claims it. No bytes are left without a flusher.
      state_ = State::kIdle;
      return Flushed::kAll;
    }
    // Others append during the system call. The pieces stay as they are: only this flusher takes
    // segments away, a segment that is extended keeps its first bytes, and Close, Trim, Break and
    // OwnBorrowed look at `in_write_`.
    in_write_ = true;
    held.Unlock();
    const ssize_t n = transport_->Write(pieces, count);
    const int error = n < 0 ? errno : 0;
    held.Lock();
    in_write_ = false;
    if (state_ == State::kClosed) {  // closed meanwhile: the descriptor was left to us
      if (n > 0) written_ += static_cast<uint64_t>(n);
      Drop();
      transport_.reset();
      return Flushed::kClosed;
    }
    if (n >= 0) {
      // Goes round again, for what was appended during the write and for what did not fit in it.
      SetTaken(static_cast<size_t>(n));
    } else if (error == EAGAIN || error == EWOULDBLOCK) {
      // Not idle: an appender that claimed the queue would only meet EAGAIN again.
      state_ = State::kBlocked;
      return Flushed::kBlocked;
    } else {
      error_ = error;  // stays claimed: nobody else will try
      return Flushed::kBroken;
    }
  }
}

uint64_t OutputQueue::Acknowledged() {
  uint64_t written;
  {
    MutexLock lock(mu_);
    written = written_;
  }
  // Asked after `written_` was read: bytes that are written in between make the result smaller,
  // never larger than the truth.
  const size_t left = transport_->Unacknowledged();
  return left < written ? written - left : 0;
}

bool OutputQueue::Unblock() {
  MutexLock lock(mu_);
  if (state_ != State::kBlocked) return false;
  state_ = State::kClaimed;
  return true;
}

void OutputQueue::Drop() {
  wants_ = Wants::kNothing;
  held_ = 0;
  segments_.Clear();
  queued_ = 0;
  account_.Set(0);
}

void OutputQueue::Close() {
  MutexLock lock(mu_);
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  sealed_ = true;
  if (in_write_) {
    // The descriptor may not be closed under the write: its number could belong to another
    // connection by then.
    transport_->ShutDown();  // ends the write; the flusher gives the descriptor back
    return;
  }
  Drop();
  tail_.Reset();
  transport_.reset();
}

void OutputQueue::Trim() {
  MutexLock lock(mu_);
  if (queued_ > 0 || in_write_) return;
  tail_.Trim();
  segments_.Trim();
}

}  // namespace weft::internal
