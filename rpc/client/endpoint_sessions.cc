#include "weft/rpc/client/endpoint_sessions.h"

#include "weft/core/check.h"

namespace weft::internal {

Session& EndpointSessions::Adopt(std::unique_ptr<Session> session, const std::string& target,
                                 MonoTime began, std::shared_ptr<CallAuthentication> calls) {
  WEFT_DCHECK(current_ == nullptr);
  // Usually a session and its successor. A failure is not handled here: Adopt meets the same lack
  // of memory.
  (void)table_.MakeRoom(2);
  const uint64_t number = list_.Add(target, began, session->gauge());
  calls_ = calls.get();
  current_ = &table_.Adopt(std::move(session), number, std::move(calls));
  opening_ = current_->link();
  return *current_;
}

void EndpointSessions::LeaveCurrent(CloseReason reason, const absl::Status& why) {
  WEFT_DCHECK(current_ != nullptr);
  (void)table_.SetLeaving(*std::exchange(current_, nullptr), reason, why);
}

bool EndpointSessions::Ended(Session& session, CloseReason reason, const absl::Status& why,
                             std::shared_ptr<const void> kept) {
  const bool was_current = current_ == &session;
  if (was_current) current_ = nullptr;
  table_.Ended(session, reason, why, std::move(kept));
  return was_current;
}

}  // namespace weft::internal
