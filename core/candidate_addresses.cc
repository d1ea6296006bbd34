#include "weft/core/candidate_addresses.h"

#include <algorithm>
#include <utility>

#include "weft/core/address_order.h"
#include "weft/core/check.h"

namespace weft::internal {
namespace {

bool Has(const std::vector<SocketAddress>& list, const SocketAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

void Remove(std::vector<SocketAddress>* list, const SocketAddress& address) {
  list->erase(std::remove(list->begin(), list->end(), address), list->end());
}

}  // namespace

void CandidateAddresses::Begin() {
  Clear();
  connected_ = SocketAddress();
  alone_ = false;
}

void CandidateAddresses::Add(const std::vector<SocketAddress>& found) {
  for (const SocketAddress& address : found) {
    if (all_.size() == kMax || Has(all_, address)) continue;
    all_.push_back(address);
    untried_.push_back(address);
  }
  untried_ = InOrderOfTrying(std::move(untried_));
  // 0: never failed. Others by the time of their failure: the one that failed the longest ago has
  // had the most time to recover.
  const auto rank = [this](const SocketAddress& a) {
    const auto it = std::find(last_.begin(), last_.end(), a);
    return it == last_.end() ? 0 : 1 + (it - last_.begin());
  };
  // Stable: InOrderOfTrying's order holds among addresses of one rank.
  std::stable_sort(
      untried_.begin(), untried_.end(),
      [&](const SocketAddress& a, const SocketAddress& b) { return rank(a) < rank(b); });
}

SocketAddress CandidateAddresses::TakeNext() {
  WEFT_DCHECK(!untried_.empty());
  const SocketAddress next = untried_.front();
  untried_.erase(untried_.begin());
  return next;
}

void CandidateAddresses::Clear() {
  // Clear may come twice for one dial (Cancel after Finish); the second call finds nothing and must
  // not change the verdict.
  if (!all_.empty()) alone_ = all_.size() == 1;
  // An only address is tried first anyway. Forgetting it lets the connector forget everything; see
  // remembers().
  if (all_.size() == 1) Remove(&last_, all_.front());
  std::vector<SocketAddress>().swap(untried_);  // `clear` would keep the memory
  std::vector<SocketAddress>().swap(all_);
}

void CandidateAddresses::TryLast(const SocketAddress& address) {
  Remove(&last_, address);
  // Bounded, since a name may lead to other addresses each time. The oldest failure says the least.
  if (last_.size() == kMax) last_.erase(last_.begin());
  last_.push_back(address);
}

void CandidateAddresses::SetConnected(const SocketAddress& address) {
  connected_ = address;
  Remove(&last_, address);
}

void CandidateAddresses::TryConnectedLast() {
  if (connected_.length() > 0 && !alone_) TryLast(connected_);
}

}  // namespace weft::internal
