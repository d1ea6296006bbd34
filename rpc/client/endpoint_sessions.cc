#include "weft/rpc/client/endpoint_sessions.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft {

Session& EndpointSessions::Adopt(std::unique_ptr<Session> session, const std::string& target,
                                 MonoTime began) {
  WEFT_DCHECK(current_ == nullptr);
  current_ = std::move(session);
  opening_ = current_->link();
  numbers_[current_.get()] = list_.Add(target, began, current_->gauge());
  return *current_;
}

void EndpointSessions::LeaveCurrent(MonoTime now, CloseReason reason, const absl::Status& why) {
  WEFT_DCHECK(current_ != nullptr);
  const uint64_t number = NumberOf(*current_);
  leaving_.push_back({std::move(current_), now, why});
  list_.Set(number, ConnectionState::kGoingAway, reason, why);
}

std::vector<Session*> EndpointSessions::LeftBy(MonoTime since) const {
  std::vector<Session*> sessions;
  for (const Leaving& left : leaving_) {
    if (left.since <= since) sessions.push_back(left.session.get());
  }
  return sessions;
}

const absl::Status& EndpointSessions::WhyLeft(const Session& session) const {
  const auto it = std::find_if(leaving_.begin(), leaving_.end(),
                               [&](const Leaving& l) { return l.session.get() == &session; });
  WEFT_DCHECK(it != leaving_.end());
  return it->why;
}

std::unique_ptr<Session> EndpointSessions::Take(Session& session, CloseReason reason,
                                                const absl::Status& why) {
  list_.Set(NumberOf(session), ConnectionState::kDown, reason, why);
  numbers_.erase(&session);
  if (current_.get() == &session) return std::move(current_);
  const auto it = std::find_if(leaving_.begin(), leaving_.end(),
                               [&](const Leaving& l) { return l.session.get() == &session; });
  WEFT_DCHECK(it != leaving_.end());  // a session ends once
  std::unique_ptr<Session> ended = std::move(it->session);
  leaving_.erase(it);
  return ended;
}

uint64_t EndpointSessions::NumberOf(const Session& session) const {
  const auto it = numbers_.find(&session);
  return it == numbers_.end() ? 0 : it->second;
}

}  // namespace weft
