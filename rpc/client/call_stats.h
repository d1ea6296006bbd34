// The counts of a client's calls, by method: of a channel, or of all peers of a node.
//
// A method is found by the address of its MethodInfo, in a table without a lock that is read by
// every call and replaced by a larger one when it is half full.
//
// Threads  any
// Owns     the methods' counts, which stay where they are as long as it lives. At most kMaxMethods;
//          calls of methods beyond them are counted together, as kOther
#ifndef WEFT_RPC_CLIENT_CALL_STATS_H_
#define WEFT_RPC_CLIENT_CALL_STATS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/optimization.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/base/method_calls.h"

namespace weft::internal {

class WEFT_ANY_THREAD CallStats {
 public:
  static constexpr size_t kMaxMethods = 256;
  static constexpr char kOther[] = "other";

  CallStats();
  ~CallStats();
  CallStats(const CallStats&) = delete;
  CallStats& operator=(const CallStats&) = delete;

  MethodCalls& Of(const MethodInfo& method) {
    const Table& table = *table_.load(std::memory_order_acquire);
    for (size_t i = PlaceOf(method);; ++i) {
      // Acquire: what the entry refers to was made before it was stored.
      const Place& place = table.places[i & table.mask];
      const MethodInfo* const info = place.info.load(std::memory_order_acquire);
      if (ABSL_PREDICT_TRUE(info == &method)) return *place.calls;
      if (info == nullptr) return Make(method);
    }
  }
  // Of the methods that were called, by name.
  std::vector<CallStatsSnapshot> Snapshot() const;

 private:
  struct Place {
    std::atomic<const MethodInfo*> info{nullptr};
    MethodCalls* calls = nullptr;  // written before `info`
  };
  struct Table {
    explicit Table(size_t size) : mask(size - 1), places(new Place[size]) {}
    const size_t mask;
    const std::unique_ptr<Place[]> places;
  };
  // Constants of one service lie side by side, an odd multiple of 16 bytes apart or nearly so.
  static size_t PlaceOf(const MethodInfo& method) {
    return reinterpret_cast<uintptr_t>(&method) / 16;
  }
  static void Put(const Table& table, const MethodInfo& method, MethodCalls& calls);
  MethodCalls& Make(const MethodInfo& method) WEFT_EXCLUDES(mu_);

  std::atomic<const Table*> table_;
  std::atomic<MethodCalls*> other_{nullptr};  // null: there is room for more methods

  mutable Mutex mu_;
  std::vector<std::pair<const MethodInfo*, std::unique_ptr<MethodCalls>>> methods_
      WEFT_GUARDED_BY(mu_);
  std::unique_ptr<MethodCalls> own_other_ WEFT_GUARDED_BY(mu_);
  // All that there were: a call may still read one that was replaced.
  std::vector<std::unique_ptr<const Table>> tables_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_CALL_STATS_H_
