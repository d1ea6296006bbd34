// The blocks of a loop, used again: the pages of a new one cost the kernel more to clear than it
// costs to fill them.
//
//   sizes:  16 KiB  20  24  28 | 32  40  48  56 | 64 …     four classes to each power of two,
//                                                          header included
//
// A block that nobody refers to any more comes back from whichever thread let go of it, and serves
// sizes of its class, or down to half of it where there is none of theirs. Free blocks together
// hold at most kMaxFree bytes; the largest go first.
//
// Trim, called again and again, gives back the blocks that were not needed since the call before:
// all of a class that was not used at all, half of the others, rounded down. While the pool is
// quiet it keeps nothing that comes back.
//
// Threads  any
// Owns     its free blocks; those that are out may outlive it, and are freed when they come back
// Errors   Get throws std::bad_alloc; TryGet returns an empty reference. Both let go of all free
//          blocks before they give up
#ifndef WEFT_CORE_BLOCK_POOL_H_
#define WEFT_CORE_BLOCK_POOL_H_

#include <array>
#include <cstddef>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD BlockPool {
 public:
  // Smaller blocks, header included, come from malloc and are not kept.
  static constexpr size_t kMin = 16 << 10;
  // Much, for it is only what was in use together a moment ago: see Trim.
  static constexpr size_t kMaxFree = 256 << 20;

  BlockPool() : core_(new Core) {}
  ~BlockPool() { core_->Close(); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Of at least `size` bytes.
  BlockRef Get(size_t size);
  // The same; empty when there is no memory for it.
  BlockRef TryGet(size_t size);

  // Gives back free blocks that lay unused since the last Trim, as said above. False: none is left.
  bool Trim() { return core_->Trim(); }
  // Nothing is kept from now on, until the pool is told that there is traffic again.
  void SetQuiet(bool quiet) { core_->SetQuiet(quiet); }

  struct Counts {
    size_t free_blocks = 0;
    size_t free_bytes = 0;
    size_t out = 0;     // blocks that somebody refers to
    uint64_t made = 0;  // blocks that were not there to be used again
    uint64_t made_bytes = 0;
  };
  Counts counts() const { return core_->counts(); }

 private:
  // Four for each power of two from kMin up to 8 GiB; what is larger is not kept.
  static constexpr size_t kClasses = 4 * 19;

  // The part of the pool that blocks refer to. It deletes itself when the pool is gone and the last
  // block has come back.
  class Core final : public BlockHome {
   public:
    // Null: there is no memory.
    Block* Take(size_t index);
    void TakeBack(Block* block) override;
    bool Trim();
    void SetQuiet(bool quiet);
    void Close();
    Counts counts() const;

   private:
    struct Class {
      std::vector<Block*> free;
      size_t unused = 0;  // the fewest that were free at any time since the last Trim
    };
    // Moves free blocks of the largest classes to `freed` until `most` bytes are kept.
    void Shrink(size_t most, std::vector<Block*>* freed) WEFT_REQUIRES(mu_);

    mutable Mutex mu_;
    std::array<Class, kClasses> classes_ WEFT_GUARDED_BY(mu_);
    Counts counts_ WEFT_GUARDED_BY(mu_);
    bool quiet_ WEFT_GUARDED_BY(mu_) = false;
    bool closed_ WEFT_GUARDED_BY(mu_) = false;
  };

  Block* Take(size_t size);

  Core* const core_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_BLOCK_POOL_H_
