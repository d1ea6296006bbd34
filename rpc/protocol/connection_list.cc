#include "weft/rpc/protocol/connection_list.h"

#include "weft/core/callback_queue.h"

namespace weft::internal {

void ConnectionList::Tell(const ConnectionEvent& event) const {
  if (listener_ == nullptr) return;
  // With a share of the listener: the list may be gone when the callback's turn comes.
  CallbackQueue::Call(nullptr, "a listener of connections",
                      [listener = listener_, event] { (*listener)(event); });
}

uint64_t ConnectionList::Add(std::string peer, MonoTime began,
                             std::shared_ptr<ConnectionGauge> gauge) {
  MutexLock lock(mu_);
  entries_.emplace(++last_, Entry{std::move(peer), began, std::move(gauge)});
  return last_;
}

void ConnectionList::SetGauge(uint64_t id, std::shared_ptr<ConnectionGauge> gauge) {
  MutexLock lock(mu_);
  if (const auto it = entries_.find(id); it != entries_.end()) it->second.gauge = std::move(gauge);
}

void ConnectionList::Set(uint64_t id, ConnectionState state, CloseReason reason,
                         const absl::Status& why) {
  ConnectionEvent event{id, {}, state, reason, why};
  {
    MutexLock lock(mu_);
    const auto it = entries_.find(id);
    // Down already, or no change: each change is told once.
    if (it == entries_.end() || it->second.state == state) return;
    event.peer = it->second.peer;
    it->second.state = state;
    if (state == ConnectionState::kDown) entries_.erase(it);
  }
  // After the mutex: the listener may ask for the list.
  Tell(event);
}

std::vector<ConnectionInfo> ConnectionList::List(MonoTime now) const {
  std::vector<ConnectionInfo> infos;
  MutexLock lock(mu_);
  for (const auto& [id, entry] : entries_) {
    const ConnectionVolume volume =
        entry.gauge != nullptr ? entry.gauge->Volume() : ConnectionVolume();
    infos.push_back({id, entry.peer, entry.state, ToAbsl(now - entry.began), volume.bytes_in,
                     volume.bytes_out, volume.calls,
                     entry.gauge != nullptr ? entry.gauge->Timing() : PeerTiming()});
  }
  return infos;
}

}  // namespace weft::internal
