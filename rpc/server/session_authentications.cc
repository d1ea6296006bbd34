#include "weft/rpc/server/session_authentications.h"

#include <algorithm>
#include <string>
#include <utility>

namespace weft::internal {

void SessionAuthentications::Expect(const Session& session,
                                    std::shared_ptr<AuthenticationQueue> queue,
                                    CallAuthentication* calls) {
  // No entry means: everybody may talk, and Ask answers by itself.
  if (queue == nullptr) return;
  entries_[&session] = {queue.get(), calls};
  if (std::find(queues_.begin(), queues_.end(), queue) == queues_.end()) {
    queues_.push_back(std::move(queue));
  }
}

void SessionAuthentications::Ask(const Session& session, std::string_view token,
                                 AuthenticationQueue::Verdict verdict) {
  const auto asks = entries_.find(&session);
  if (asks == entries_.end()) {
    verdict(std::string(session.peer_identity().first_name()));
    return;
  }
  if (asks->second.calls != nullptr) asks->second.calls->SetToken(token);
  const uint64_t number =
      asks->second.queue->Ask({token, session.peer(), session.peer_identity()}, std::move(verdict));
  // Looked up again: a refusal may have come inside Ask, and ended the session.
  if (const auto it = entries_.find(&session); it != entries_.end()) it->second.number = number;
}

void SessionAuthentications::Drop(const Session& session) {
  const auto it = entries_.find(&session);
  if (it == entries_.end()) return;
  if (const uint64_t number = std::exchange(it->second.number, 0); number > 0) {
    it->second.queue->Drop(number);
  }
}

void SessionAuthentications::Forget(const Session& session) {
  Drop(session);
  entries_.erase(&session);
}

void SessionAuthentications::WhenIdle(Gate::Callback idle) {
  const auto running = std::make_shared<Gate>();
  for (const auto& queue : queues_) {
    // WhenIdle of one queue may call back at once, so the gate counts each queue before it is
    // asked.
    running->Enter();
    queue->WhenIdle([running] { running->Leave(); });
  }
  running->WhenEmpty(std::move(idle));
}

size_t SessionAuthentications::running() const {
  size_t running = 0;
  for (const auto& queue : queues_) running += queue->counts().running;
  return running;
}

}  // namespace weft::internal
