#include "weft/rpc/mesh/peer_links.h"

#include <algorithm>
#include <utility>

namespace weft::internal {
namespace {

bool Contains(std::span<const uint64_t> numbers, uint64_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

}  // namespace

PeerLinks::PeerLinks(size_t slots, std::function<void()> on_connect)
    : on_connect_(std::move(on_connect)),
      only_(slots == 1 ? std::make_unique<LinkSlot>() : nullptr),
      links_(slots),
      wished_(slots) {}

void PeerLinks::Set(size_t slot, std::shared_ptr<CallLink> link, uint64_t number) {
  auto numbered = std::make_shared<const NumberedLink>(NumberedLink{std::move(link), number});
  MutexLock lock(mu_);
  // The peer has left meanwhile. Its session is about to be told to go.
  if (!over_.ok()) return;
  Replace(slot, std::move(numbered));
  down_ = absl::OkStatus();
}

void PeerLinks::Replace(size_t slot, std::shared_ptr<const NumberedLink> link) {
  if (links_[slot] != nullptr) former_.push_back(std::move(links_[slot]));
  links_[slot] = std::move(link);
  Show();
}

void PeerLinks::Show() {
  // Calls read `only_` without Pick and without the mutex. Null sends them to Pick, which asks the
  // former links.
  if (only_ != nullptr) only_->Set(former_.empty() ? links_[0] : nullptr);
}

void PeerLinks::Clear(size_t slot) {
  MutexLock lock(mu_);
  Replace(slot, nullptr);
}

void PeerLinks::Forget(uint64_t number) {
  std::shared_ptr<const NumberedLink> old;  // destroyed after the mutex is released
  MutexLock lock(mu_);
  const auto it =
      std::ranges::find_if(former_, [number](const auto& link) { return link->number == number; });
  if (it == former_.end()) return;
  old = std::move(*it);
  former_.erase(it);
  Show();
}

void PeerLinks::TellOfEnds() {
  {
    MutexLock lock(mu_);
    // Calls end all the time. The observer is troubled only if Pick has made one wait for an end.
    if (!std::exchange(ends_awaited_, false)) return;
  }
  // Without the mutex: the observer comes back through Pick, which takes it.
  observer_->OnLink();
}

void PeerLinks::SetWished(size_t slots) {
  MutexLock lock(mu_);
  wished_ = slots;
}

void PeerLinks::SetDown(const absl::Status& why) {
  MutexLock lock(mu_);
  down_ = why;
}

void PeerLinks::TellDown() {
  absl::Status why;
  {
    MutexLock lock(mu_);
    why = down_;  // a link has come since SetDown
  }
  if (!why.ok()) observer_->OnNoLink(why, LinkObserver::NoLink::kFailed);
}

void PeerLinks::SetOver(const absl::Status& why) {
  {
    MutexLock lock(mu_);
    over_ = why;
    // A peer that comes back must not fail calls with the reason of its earlier life.
    down_ = absl::OkStatus();
    if (!why.ok()) {
      for (size_t slot = 0; slot < links_.size(); ++slot) Replace(slot, nullptr);
    }
  }
  if (why.ok()) return;
  // Waiting calls ask Pick again and get the reason.
  observer_->OnLink();
}

bool PeerLinks::IsUnderWay(std::string_view method) const {
  return std::ranges::any_of(
      former_, [method](const auto& former) { return former->link->IsUnderWay(method); });
}

const NumberedLink* PeerLinks::Best(const PickRequest& request) const {
  // A hashed call stays with its slot, and waits if the slot has no link. The hash's low bit is
  // always set (0 means no hash), so it is left out.
  if (request.hash != 0) {
    const NumberedLink* const link = links_[(request.hash >> 1) % wished_].get();
    return link != nullptr && !Contains(request.gone, link->number) ? link : nullptr;
  }
  const NumberedLink* best = nullptr;
  size_t least = 0;
  for (const auto& link : links_) {
    if (link == nullptr || Contains(request.gone, link->number)) continue;
    // Volume() is not free, and with one link there is nothing to compare.
    const size_t calls = links_.size() > 1 ? link->link->Volume().calls : 0;
    if (best != nullptr && calls >= least) continue;
    best = link.get();
    least = calls;
  }
  return best;
}

PickedLink PeerLinks::Pick(const PickRequest& request, absl::Status* why) {
  MutexLock lock(mu_);
  if (!over_.ok()) {
    *why = over_;
    return {};
  }
  if (const NumberedLink* const link = Best(request)) {
    if (request.ordered.empty() || !IsUnderWay(request.ordered)) {
      return {link->link.get(), link->number, link->link};
    }
    // Returns none without a reason: the call waits, and TellOfEnds places it.
    ends_awaited_ = true;
    return {};
  }
  if (!request.wait_for_ready) *why = down_;
  return {};
}

void PeerLinks::Connect(bool at_once) {
  // A pair dials by itself. Only a call that will not wait out the pause changes anything.
  if (at_once) on_connect_();
}

void PeerLinks::Close(std::function<void()> done) {
  // Done at once: the sessions, which keep the links, are the node's to end.
  SetOver(absl::UnavailableError("the node was stopped"));
  done();
}

}  // namespace weft::internal
