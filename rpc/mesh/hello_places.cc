#include "weft/rpc/mesh/hello_places.h"

#include <algorithm>
#include <utility>

namespace weft::internal {

std::string_view HelloPlaces::HostOf(std::string_view peer) {
  const size_t colon = peer.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  std::string_view host = peer.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  // "unix:/run/x.sock", "inproc:name"
  return host.find_first_of("/:") == std::string_view::npos &&
                 peer.find_first_not_of("0123456789", colon + 1) == std::string_view::npos
             ? host
             : std::string_view();
}

void HelloPlaces::SetMembers(std::set<std::string, std::less<>> addresses) {
  MutexLock lock(mu_);
  members_ = std::move(addresses);
}

size_t HelloPlaces::CountOf(std::string_view host) const {
  return static_cast<size_t>(
      std::ranges::count_if(places_, [&](const Place& place) { return place.host == host; }));
}

bool HelloPlaces::Enter(const SessionRef& session, std::string_view peer, SessionRef* victim) {
  const std::string_view host = HostOf(peer);
  if (host.empty()) return false;
  MutexLock lock(mu_);
  const bool member = members_.contains(host);
  // A member beyond its own places uses the shared ones. Therefore only members beyond kMembers
  // count among the shared places.
  const bool crowded = !member && CountOf(host) >= kEach;
  const size_t of_everybody = places_.size() - std::min(of_members_, kMembers);
  const bool full = of_everybody >= kEverybodys && !(member && of_members_ < kMembers);
  auto goes = places_.end();
  // A crowded address pays with its own oldest connection, so it can never push out another
  // address.
  if (crowded || full) {
    goes = std::ranges::find_if(
        places_, [&](const Place& place) { return crowded ? place.host == host : !place.member; });
  }
  const bool one_goes = goes != places_.end();
  if (one_goes) {
    *victim = goes->session;
    Remove(goes);
  }
  places_.push_back({session, std::string(host), member});
  by_id_[session.id] = std::prev(places_.end());
  if (member) ++of_members_;
  return one_goes;
}

void HelloPlaces::Remove(Places::iterator place) {
  if (place->member) --of_members_;
  by_id_.erase(place->session.id);
  places_.erase(place);
}

void HelloPlaces::Leave(uint64_t id) {
  MutexLock lock(mu_);
  const auto it = by_id_.find(id);
  if (it != by_id_.end()) Remove(it->second);
}

size_t HelloPlaces::taken() const {
  MutexLock lock(mu_);
  return places_.size();
}

}  // namespace weft::internal
