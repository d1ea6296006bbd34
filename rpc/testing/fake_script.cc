#include "weft/rpc/testing/fake_script.h"

namespace weft::internal {

bool FakeScript::Push(ReceivedMessage message) {
  if (end_.has_value()) return false;
  pushed_.push_back(std::move(message));
  ++unread_;
  return true;
}

bool FakeScript::End(absl::Status status) {
  if (end_.has_value()) return false;
  end_ = std::move(status);
  return true;
}

bool FakeScript::TakePushed(ReceivedMessage* message) {
  if (pushed_.empty()) return false;
  *message = std::move(pushed_.front());
  pushed_.pop_front();
  return true;
}

std::optional<absl::Status> FakeScript::DueEnd(size_t written, bool half_closed) const {
  if (failure_.has_value() && written >= failure_->after) return failure_->status;
  if (unread_ > 0) return std::nullopt;
  if (end_.has_value()) return end_;
  if (half_closed) return end_at_half_close_;
  return std::nullopt;
}

}  // namespace weft::internal
