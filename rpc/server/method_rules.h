// The server's rules for a method's calls before they run, and the counts that these need. A method
// without rules has no object of this class.
//
// Threads  the settings are fixed before the first call; the counters: any
#ifndef WEFT_RPC_SERVER_METHOD_RULES_H_
#define WEFT_RPC_SERVER_METHOD_RULES_H_

#include <atomic>
#include <cstdint>

#include "weft/core/clock.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/method_options.h"

namespace weft::internal {

struct MethodRules final : BoundRules {
  // Null: the method has no rules.
  static MethodRules* Of(const BoundMethod& bound) {
    return static_cast<MethodRules*>(bound.rules);
  }

  bool ordered = false;
  CallKey key = nullptr;
  RequestKey request_key = nullptr;
  int64_t max_calls = 0;  // 0: no limit
  bool counted = false;   // Admission is asked

  std::atomic<int64_t> calls{0};       // under way
  std::atomic<int64_t> typical_ns{0};  // the time of its handler, smoothed by an eighth

  bool serial() const { return ordered || key != nullptr || request_key != nullptr; }
  // The key is known before the whole request is there.
  bool key_comes_first() const { return request_key == nullptr; }
  Nanos typical_time() const { return Nanos(typical_ns.load(std::memory_order_relaxed)); }
  // Two threads at the same moment may lose one of their times: it is only an estimate.
  void AddTime(Nanos took) {
    const int64_t before = typical_ns.load(std::memory_order_relaxed);
    typical_ns.store(before + (took.count() - before) / 8, std::memory_order_relaxed);
  }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_METHOD_RULES_H_
