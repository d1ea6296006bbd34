#include "weft/rpc/protocol/native/outbound_calls.h"

#include <chrono>
#include <utility>
#include <vector>

namespace weft::native {
namespace {

constexpr Nanos kLongestLook = std::chrono::seconds(1);
constexpr Nanos kShortestLook = std::chrono::milliseconds(1);

}  // namespace

OutboundCall* OutboundCalls::TakeAbove(uint64_t last) {
  std::vector<uint64_t> ids;
  calls_.ForEach([&](uint64_t id, OutboundCall*) {
    if (id > last) ids.push_back(id);
  });
  OutboundCall* list = nullptr;
  for (const uint64_t id : ids) {
    OutboundCall* const call = calls_.Take(id);
    call->wire().next = list;
    list = call;
  }
  return list;
}

OutboundCall* OutboundCalls::TakeAll() {
  OutboundCall* list = nullptr;
  calls_.ForEach([&](uint64_t, OutboundCall* call) {
    call->wire().next = list;
    list = call;
  });
  calls_.Clear();
  return list;
}

MonoTime OutboundCalls::Arm(DeadlineWheel& wheel, DeadlineTarget* target, const Clock& clock) {
  if (!std::exchange(unarmed_, false)) {
    // None since the last look: the next call that comes asks for one.
    looked_for_by_ = kNever;
    shortest_timeout_ = Nanos::max();
    return kNever;
  }
  calls_.ForEach([&](uint64_t, OutboundCall* call) WEFT_NO_THREAD_ANALYSIS {
    if (call->plan().deadline == kNever || call->in_wheel()) return;
    call->wire().deadline_target = target;
    wheel.Insert(call, call->plan().deadline);
  });
  // Of the calls since the last look: a short one must not keep the looks short.
  const Nanos shortest = std::exchange(shortest_timeout_, Nanos::max());
  looked_for_by_ = clock.Now() + std::clamp(shortest / 4, kShortestLook, kLongestLook);
  return looked_for_by_;
}

}  // namespace weft::native
