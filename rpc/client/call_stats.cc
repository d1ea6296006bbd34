#include "weft/rpc/client/call_stats.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace weft::internal {
namespace {

// A power of two, as every size of a table: its mask finds the places.
constexpr size_t kFirstSize = 8;

}  // namespace

CallStats::CallStats() {
  MutexLock lock(mu_);
  tables_.push_back(std::make_unique<const Table>(kFirstSize));
  table_.store(tables_.back().get(), std::memory_order_release);
}

CallStats::~CallStats() = default;

void CallStats::Put(const Table& table, const MethodInfo& method, MethodCalls& calls) {
  size_t i = PlaceOf(method);
  while (table.places[i & table.mask].info.load(std::memory_order_relaxed) != nullptr) ++i;
  Place& place = table.places[i & table.mask];
  // Before `info`, which makes the place visible to calls that read without the mutex.
  place.calls = &calls;
  place.info.store(&method, std::memory_order_release);
}

MethodCalls& CallStats::Make(const MethodInfo& method) {
  if (MethodCalls* const other = other_.load(std::memory_order_acquire)) return *other;
  MutexLock lock(mu_);
  for (const auto& [info, calls] : methods_) {  // another thread may have made it meanwhile
    if (info == &method) return *calls;
  }
  if (methods_.size() >= kMaxMethods) {
    if (own_other_ == nullptr) own_other_ = std::make_unique<MethodCalls>(kOther);
    // From here on calls of further methods take no mutex.
    other_.store(own_other_.get(), std::memory_order_release);
    return *own_other_;
  }
  methods_.emplace_back(&method, std::make_unique<MethodCalls>(std::string(method.full_name)));
  // A table is never more than half full, so that a search ends soon at a free place.
  const size_t size = tables_.back()->mask + 1;
  if (methods_.size() * 2 > size) {
    auto larger = std::make_unique<const Table>(size * 2);
    for (const auto& [info, calls] : methods_) Put(*larger, *info, *calls);
    tables_.push_back(std::move(larger));
    table_.store(tables_.back().get(), std::memory_order_release);
  } else {
    Put(*tables_.back(), method, *methods_.back().second);
  }
  return *methods_.back().second;
}

std::vector<CallStatsSnapshot> CallStats::Snapshot() const {
  // By name: one method may have two addresses, in two shared libraries.
  std::map<std::string, CallStatsSnapshot> by_name;
  const auto add = [&by_name](const MethodCalls& calls) {
    CallStatsSnapshot& sum = by_name[calls.method()];
    sum.method = calls.method();
    sum.latency.resize(MethodStats::kBuckets);
    calls.AddTo(&sum);
  };
  {
    MutexLock lock(mu_);
    for (const auto& [info, calls] : methods_) add(*calls);
    if (own_other_ != nullptr) add(*own_other_);
  }
  std::vector<CallStatsSnapshot> all;
  all.reserve(by_name.size());
  for (auto& [name, sum] : by_name) all.push_back(std::move(sum));
  return all;
}

}  // namespace weft::internal
