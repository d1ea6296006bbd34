// The demo's clients: threads that write and read through any node until Stop.
//
// A refused or unanswered write is repeated through the next node, as a new write. A reader notes
// the last acknowledged write before it asks, and counts reads that find an older one.
//
// Threads  its owner's
// Owns     the threads; the ledger outlives it
// Ends     with Stop, which waits for the calls under way
#ifndef WEFT_EXAMPLES_KV_LOAD_H_
#define WEFT_EXAMPLES_KV_LOAD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "kv.weft.h"
#include "ledger.h"
#include "weft/rpc/base/method_stats.h"

namespace weft::examples::kv {

class Load {
 public:
  static constexpr size_t kWriters = 6, kReaders = 3;

  Load(std::vector<Store::Stub> stores, Ledger& ledger)
      : stores_(std::move(stores)), ledger_(ledger) {}

  void Start();
  void Stop();

  MethodStatsSnapshot writes() const { return writes_.Snapshot(); }
  MethodStatsSnapshot reads() const { return reads_.Snapshot(); }
  // Reads that found an older write than one acknowledged before they began.
  int64_t stale() const { return stale_.load(); }

 private:
  void Writer(size_t me);
  void Reader(size_t me);

  const std::vector<Store::Stub> stores_;
  Ledger& ledger_;
  MethodStats writes_{"write"}, reads_{"read"};
  std::atomic<int64_t> stale_{0};
  std::atomic<bool> stopping_{false};
  // Number of keys of each writer.
  std::array<std::atomic<uint64_t>, kWriters> keys_{};
  std::vector<std::thread> threads_;
};

}  // namespace weft::examples::kv

#endif  // WEFT_EXAMPLES_KV_LOAD_H_
