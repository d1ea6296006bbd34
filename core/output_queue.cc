#include "weft/core/output_queue.h"

#include <errno.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/base/attributes.h"
#include "weft/core/check.h"
#include "weft/core/try_allocate.h"

namespace weft {

OutputQueue::OutputQueue(std::unique_ptr<Transport> transport, std::shared_ptr<OutputBudget> budget,
                         BlockPool* blocks)
    : transport_(std::move(transport)), budget_(std::move(budget)), blocks_(blocks) {}

// Nobody else is left to lock it.
OutputQueue::~OutputQueue() WEFT_NO_THREAD_ANALYSIS { Drop(); }

void OutputQueue::TellBudget() {
  if (budget_ != nullptr) budget_->Change(counted(), unsent());
  counted_.store(unsent(), std::memory_order_relaxed);
}

size_t OutputQueue::NextBlock(size_t n) {
  small_ = !tail_ && n <= kSmallBlock && small_left_ > 0;
  if (small_) {
    --small_left_;
    return kSmallBlock;
  }
  small_left_ = 0;
  const bool grows = tail_ && tail_->capacity() >= kFirstBlock;
  return std::max(n, grows ? std::min(tail_->capacity() * kGrowth, kLargestBlock) : kFirstBlock);
}

char* OutputQueue::ReserveInNewBlock(size_t n) {
  const size_t size = NextBlock(n);
  BlockRef block = TryBlock(size);
  if (!block && size > n) block = TryBlock(n);
  if (!block) return nullptr;
  tail_ = std::move(block);
  tail_used_ = 0;
  return tail_->data();
}

char* OutputQueue::Reserve(size_t n) {
  if (char* const room = TryReserve(n)) return room;
  tail_ = BlockRef::New(n);  // which is small, or fails
  tail_used_ = 0;
  return tail_->data();
}

// One that cannot be queued is lost, and the connection with it.
void OutputQueue::Push(Segment segment) {
  const bool pushed = TryAllocate([&] {
    mu_.AssumeHeld();
    segments_.push_back(std::move(segment));
  });
  if (!pushed) lost_ = true;
}

bool OutputQueue::Break() {
  MutexLock lock(mu_);
  AwaitWrite(lock);
  if (state_ == State::kClosed) return false;
  lost_ = true;
  Drop();
  return std::exchange(state_, State::kClaimed) != State::kClaimed;
}

void OutputQueue::Commit(size_t n) {
  const char* data = tail_->data() + tail_used_;
  tail_used_ += n;
  if (sealed_ || n == 0) return;
  queued_ += n;
  CountMore();
  if (segments_.begin() + static_cast<std::ptrdiff_t>(first_) != segments_.end()) {
    Segment& last = segments_.back();
    if (last.block.get() == tail_.get() && last.data + last.size == data) {
      last.size += n;
      return;
    }
  }
  PushTail(data, n);
}

ABSL_ATTRIBUTE_NOINLINE void OutputQueue::PushTail(const char* data, size_t n) {
  Push({data, n, tail_, nullptr});
}

void OutputQueue::AppendBlock(BlockRef block, const char* data, size_t size) {
  if (sealed_ || size == 0) return;
  queued_ += size;
  CountMore();
  Push({data, size, std::move(block), nullptr});
}

void OutputQueue::AppendShared(std::shared_ptr<const void> keeper, const char* data, size_t size) {
  if (sealed_ || size == 0) return;
  queued_ += size;
  CountMore();
  Push({data, size, BlockRef(), std::move(keeper)});
}

// The kernel copies from what is queued meanwhile.
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
  for (size_t i = first_; i < segments_.size(); ++i) {
    Segment& segment = segments_[i];
    if (segment.block || segment.keeper != nullptr) continue;
    segment.block = TryBlock(segment.size);
    if (!segment.block) return false;
    std::memcpy(segment.block->data(), segment.data, segment.size);
    segment.data = segment.block->data();
  }
  return true;
}

int OutputQueue::Gather(iovec* pieces) {
  int count = 0;
  for (size_t i = first_; i < segments_.size() && count < kMaxPieces; ++i, ++count) {
    pieces[count] = {const_cast<char*>(segments_[i].data), segments_[i].size};
  }
  return count;
}

void OutputQueue::Taken(size_t n) {
  queued_ -= n;
  written_ += n;
  Count();
  while (n > 0) {
    Segment& segment = segments_[first_];
    if (n < segment.size) {
      segment.data += n;
      segment.size -= n;
      break;
    }
    n -= segment.size;
    segment.block.reset();
    segment.keeper.reset();
    ++first_;
  }
  if (first_ == segments_.size()) {
    segments_.clear();
    first_ = 0;
    if (tail_ && tail_->Sole()) tail_used_ = 0;  // nobody refers to its bytes: fill it again
    if (small_) Forget();
  } else if (first_ > 1024 && first_ * 2 > segments_.size()) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
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
    if (wants_ != Wants::kNothing && queued_ < kFeedBelow) feeder_->Feed(*this);
    const int count = Gather(pieces);
    if (count == 0) {
      state_ = State::kIdle;
      return Flushed::kAll;
    }
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
      Taken(static_cast<size_t>(n));
    } else if (error == EAGAIN || error == EWOULDBLOCK) {
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
  // Asked behind it: what is written meanwhile makes this smaller.
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
  segments_.clear();
  first_ = 0;
  queued_ = 0;
  Count();
}

void OutputQueue::Close() {
  MutexLock lock(mu_);
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  sealed_ = true;
  if (in_write_) {
    transport_->ShutDown();  // ends the write; the flusher gives the descriptor back
    return;
  }
  Drop();
  tail_.reset();
  transport_.reset();
}

void OutputQueue::Trim() {
  MutexLock lock(mu_);
  if (queued_ > 0 || in_write_) return;
  small_left_ = kSmallBlocks;
  Forget();
}

void OutputQueue::Forget() {
  small_ = false;
  tail_.reset();
  tail_used_ = 0;
  segments_.shrink_to_fit();
}

}  // namespace weft
