#include "weft/core/block_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "weft/core/check.h"

namespace weft::internal {
namespace {

constexpr size_t kMinLog = std::bit_width(BlockPool::kMin) - 1;

// The class of blocks of at least `size` bytes, header included.
size_t ClassOf(size_t size) {
  const size_t last = std::max(size, BlockPool::kMin) - 1;
  const auto log = static_cast<size_t>(std::bit_width(last)) - 1;
  // Four classes for each power of two: a block is at most a quarter larger than it was asked for.
  const size_t quarter = (last >> (log - 2)) & 3;
  return log < kMinLog ? 0 : (log - kMinLog) * 4 + quarter + 1;
}

// Bytes of a block of a class, header included.
size_t SizeOf(size_t index) { return (BlockPool::kMin / 4 * (4 + index % 4)) << (index / 4); }

}  // namespace

Block* BlockPool::Take(size_t size) {
  // Small blocks bypass the pool: malloc serves them from the thread's own cache without a lock.
  if (size + sizeof(Block) <= kMin) return Block::TryNew(size);
  // ClassOf and the header's size could overflow beyond it.
  if (size > SIZE_MAX / 4) return nullptr;
  const size_t index = ClassOf(size + sizeof(Block));
  // Above the largest class a block has no home and goes back to the system when it is let go.
  return index < kClasses ? core_->Take(index) : Block::TryNew(size);
}

BlockRef BlockPool::TryGet(size_t size) { return BlockRef(Take(size)); }

BlockRef BlockPool::Get(size_t size) {
  Block* const block = Take(size);
  // New tries once more and throws bad_alloc.
  return BlockRef(block != nullptr ? block : Block::New(size));
}

Block* BlockPool::Core::Take(size_t index) {
  const size_t size = SizeOf(index);
  {
    MutexLock lock(mu_);
    ++counts_.out;
    // Of its class, or of one up to twice as large: sizes that differ from call to call need no new
    // block each.
    for (size_t i = index; i <= index + 4 && i < kClasses; ++i) {
      Class& own = classes_[i];
      if (own.free.empty()) continue;
      // The newest is taken, whose pages are likely still in a cache. The oldest stay at the front,
      // where Trim takes them.
      Block* const block = own.free.back();
      own.free.pop_back();
      // Keeps the low-water mark since the last Trim: so many blocks were needed by nobody.
      own.unused = std::min(own.unused, own.free.size());
      --counts_.free_blocks;
      counts_.free_bytes -= SizeOf(i);
      block->Revive();
      return block;
    }
    ++counts_.made;
    counts_.made_bytes += size;
  }
  // Outside the mutex, so that other threads do not wait for the system's memory.
  Block* block = Block::TryNew(size - sizeof(Block), this);
  if (block != nullptr) return block;
  std::vector<Block*> freed;
  {
    MutexLock lock(mu_);
    // All free blocks of other sizes go back to the system before this request is given up.
    Shrink(0, &freed);
  }
  for (Block* old : freed) Block::Free(old);
  if (!freed.empty()) block = Block::TryNew(size - sizeof(Block), this);
  if (block == nullptr) {
    MutexLock lock(mu_);
    --counts_.out;
  }
  return block;
}

void BlockPool::Core::TakeBack(Block* block) {
  const size_t size = block->footprint();
  std::vector<Block*> freed;
  bool last = false;
  {
    MutexLock lock(mu_);
    WEFT_DCHECK(counts_.out > 0);
    // The block that was counted out above was not to be had. `out` has to be exact, since the core
    // deletes itself when it reaches 0.
    --counts_.out;
    // A block that alone exceeds the bound would push out all others and still not fit.
    if (closed_ || quiet_ || size > kMaxFree) {
      // Decided under the mutex, done after it: exactly one thread sees both, and the mutex dies
      // with the core.
      last = closed_ && counts_.out == 0;
      freed.push_back(block);
    } else {
      classes_[ClassOf(size)].free.push_back(block);
      ++counts_.free_blocks;
      counts_.free_bytes += size;
      if (counts_.free_bytes > kMaxFree) Shrink(kMaxFree, &freed);
    }
  }
  for (Block* old : freed) Block::Free(old);
  if (last) delete this;
}

void BlockPool::Core::Shrink(size_t most, std::vector<Block*>* freed) {
  // From the largest on: few blocks give back the most.
  for (size_t index = kClasses; index-- > 0 && counts_.free_bytes > most;) {
    Class& own = classes_[index];
    while (!own.free.empty() && counts_.free_bytes > most) {
      freed->push_back(own.free.back());
      own.free.pop_back();
      --counts_.free_blocks;
      counts_.free_bytes -= SizeOf(index);
    }
    own.unused = std::min(own.unused, own.free.size());
    if (own.free.empty()) own.free.shrink_to_fit();
  }
}

bool BlockPool::Core::Trim() {
  std::vector<Block*> freed;
  bool left;
  {
    MutexLock lock(mu_);
    for (size_t index = 0; index < kClasses; ++index) {
      Class& own = classes_[index];
      // How many are out together differs from look to look: one spare block stays where others of
      // its class are used, and of many it is half of them each time.
      const size_t given = own.unused == own.free.size() ? own.unused : own.unused / 2;
      // The oldest, which lie at the front.
      const auto end = own.free.begin() + static_cast<std::ptrdiff_t>(given);
      freed.insert(freed.end(), own.free.begin(), end);
      own.free.erase(own.free.begin(), end);
      counts_.free_blocks -= given;
      counts_.free_bytes -= given * SizeOf(index);
      own.unused = own.free.size();
      if (own.free.empty()) std::vector<Block*>().swap(own.free);  // `= {}` keeps the memory
    }
    left = counts_.free_blocks > 0;
  }
  for (Block* old : freed) Block::Free(old);
  return left;
}

void BlockPool::Core::SetQuiet(bool quiet) {
  MutexLock lock(mu_);
  quiet_ = quiet;
}

void BlockPool::Core::Close() {
  std::vector<Block*> freed;
  bool last;
  {
    MutexLock lock(mu_);
    closed_ = true;
    Shrink(0, &freed);
    last = counts_.out == 0;
  }
  for (Block* old : freed) Block::Free(old);
  if (last) delete this;
}

BlockPool::Counts BlockPool::Core::counts() const {
  MutexLock lock(mu_);
  return counts_;
}

}  // namespace weft::internal
