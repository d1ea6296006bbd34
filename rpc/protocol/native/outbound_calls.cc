#include "weft/rpc/protocol/native/outbound_calls.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace weft::internal::native {
namespace {

constexpr Nanos kLongestLook = std::chrono::seconds(1);
constexpr Nanos kShortestLook = std::chrono::milliseconds(1);

OutboundCall* Merged(OutboundCall* one, OutboundCall* other) {
  OutboundCall* first = nullptr;
  OutboundCall** last = &first;
  while (one != nullptr && other != nullptr) {
    OutboundCall*& lower = one->wire().id < other->wire().id ? one : other;
    *last = lower;
    last = &lower->wire().next;
    lower = *last;
  }
  *last = one != nullptr ? one : other;
  return first;
}

// Merge sort by number, without memory of its own.
OutboundCall* Sorted(OutboundCall* list, size_t size) {
  if (size < 2) return list;
  OutboundCall* middle = list;
  for (size_t i = 1; i < size / 2; ++i) middle = middle->wire().next;
  OutboundCall* const rest = std::exchange(middle->wire().next, nullptr);
  return Merged(Sorted(list, size / 2), Sorted(rest, size - size / 2));
}

}  // namespace

OutboundCall* OutboundCalls::TakeAbove(uint64_t last) {
  std::vector<uint64_t> ids;
  calls_.ForEach([&](uint64_t id, OutboundCall*) {
    if (id > last) ids.push_back(id);
  });
  // Downwards, since the list is built from its end: the calls are told in the order in which they
  // were started.
  std::sort(ids.begin(), ids.end(), std::greater<>());
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
  const size_t size = calls_.size();
  calls_.Clear();
  return Sorted(list, size);
}

MonoTime OutboundCalls::Arm(DeadlineWheel& wheel, DeadlineTarget* target, const Clock& clock) {
  if (!std::exchange(unarmed_, false)) {
    // No new deadline since the last look: stop looking. The next call with one asks for a look.
    looked_for_by_ = kNever;
    shortest_timeout_ = Nanos::max();
    return kNever;
  }
  calls_.ForEach([&](uint64_t, OutboundCall* call) WEFT_NO_THREAD_ANALYSIS {
    if (call->plan().deadline == kNever || call->in_wheel()) return;
    call->wire().deadline_target = target;
    wheel.Insert(call, call->plan().deadline);
  });
  // Only calls since the last look count: one short timeout must not keep the looks short for ever.
  const Nanos shortest = std::exchange(shortest_timeout_, Nanos::max());
  // A quarter of the shortest: a deadline is then armed before it is due, and a call that is
  // answered sooner never enters the wheel.
  looked_for_by_ = clock.Now() + std::clamp(shortest / 4, kShortestLook, kLongestLook);
  return looked_for_by_;
}

}  // namespace weft::internal::native
