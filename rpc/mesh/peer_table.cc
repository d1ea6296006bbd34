#include "weft/rpc/mesh/peer_table.h"

#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/random_bits.h"

namespace weft::internal {

PeerTable::PeerTable(Pair::Around around, std::shared_ptr<const StartConfig> config, uint64_t seed)
    : around_(std::move(around)), config_(std::move(config)), random_(seed) {}

std::shared_ptr<RemotePeer> PeerTable::FindOrMake(const std::string& name) {
  MutexLock lock(mu_);
  std::shared_ptr<RemotePeer>& peer = peers_[name];
  if (peer == nullptr) {
    auto pair = std::make_shared<Pair>(name, around_, NextRandomBits(&random_));
    pair->Begin();
    // Dealt out in turn: the peers' waiting calls and timers are shared by all loops.
    IoThread& home = around_.loops->io(peers_.size() % around_.loops->size());
    peer = RemotePeer::Create(std::move(pair), home, config_);
  }
  return peer;
}

void PeerTable::Apply(const View& view) {
  View before;
  {
    MutexLock lock(mu_);
    if (retired_) return;
    before = std::exchange(view_, view);
  }
  const std::string& self = around_.settings->node;
  const ViewDifference difference = ViewDifference::Between(before, view);
  // Members that left go first: one that joins may have got the address of one of them.
  for (const Member& member : difference.left) {
    if (member.name == self) continue;
    FindOrMake(member.name)
        ->pair()
        ->Leave(absl::UnavailableError(absl::StrCat(member.name, " is no member any more")));
  }
  for (const ViewDifference::Move& move : difference.moved) {
    if (move.to.name != self) FindOrMake(move.to.name)->pair()->Move(move.to.address);
  }
  for (const Member& member : difference.joined) {
    if (member.name != self) FindOrMake(member.name)->pair()->Join(member.address);
  }
}

std::shared_ptr<RemotePeer> PeerTable::Find(std::string_view name) const {
  MutexLock lock(mu_);
  const auto it = peers_.find(name);
  return it != peers_.end() ? it->second : nullptr;
}

std::vector<std::shared_ptr<RemotePeer>> PeerTable::All() const {
  MutexLock lock(mu_);
  std::vector<std::shared_ptr<RemotePeer>> all;
  for (const auto& [name, peer] : peers_) all.push_back(peer);
  return all;
}

void PeerTable::Retire() {
  {
    MutexLock lock(mu_);
    // Under the mutex that Apply takes first: a view that comes later adds no peers behind Retire's
    // back.
    retired_ = true;
  }
  for (const auto& peer : All()) peer->pair()->Retire();
}

void PeerTable::Close(std::function<void()> done) {
  const std::vector<std::shared_ptr<RemotePeer>> all = All();
  // One more than the peers, counted down at the end of this function, so `done` cannot run before
  // all Close calls were made.
  const auto left = std::make_shared<std::atomic<size_t>>(all.size() + 1);
  const auto one_less = [left, done = std::move(done)] {
    if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) done();
  };
  for (const auto& peer : all) peer->Close(one_less);
  one_less();
}

}  // namespace weft::internal
