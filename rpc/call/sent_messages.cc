#include "weft/rpc/call/sent_messages.h"

#include <cstring>

#include "weft/rpc/base/message_codec.h"

namespace weft {

bool SentMessages::Add(const google::protobuf::MessageLite& message, bool last,
                       std::string_view* bytes) {
  const size_t size = MessageCodec::ByteSize(message);
  uint64_t head = uint64_t{size} << 1 | (last ? 1 : 0);
  if (!keeps_ || size > kMost || bytes_.size() + sizeof head + size > kMost) {
    Forget();
    return false;
  }
  last_added_ = bytes_.size();
  bytes_.resize(last_added_ + sizeof head + size);
  char* const to = bytes_.data() + last_added_;
  std::memcpy(to, &head, sizeof head);
  MessageCodec::WriteTo(message, to + sizeof head);
  *bytes = std::string_view(to + sizeof head, size);
  return true;
}

bool SentMessages::Open() {
  if (state_ != State::kBound) return false;
  state_ = State::kSendingAgain;
  return true;
}

bool SentMessages::Next(Message* message) {
  if (next_ == bytes_.size()) {
    state_ = State::kOpen;
    FreeIfIdle();
    return false;
  }
  uint64_t head;
  std::memcpy(&head, bytes_.data() + next_, sizeof head);
  next_size_ = sizeof head + (head >> 1);
  message->bytes = std::string_view(bytes_).substr(next_ + sizeof head, head >> 1);
  message->last = (head & 1) != 0;
  return true;
}

bool SentMessages::Unbind() {
  if (!keeps_) return false;
  state_ = State::kNowhere;
  next_ = 0;
  ++turn_;
  return true;
}

void SentMessages::Forget() {
  keeps_ = false;
  FreeIfIdle();
}

void SentMessages::Unuse() {
  --users_;
  FreeIfIdle();
}

void SentMessages::FreeIfIdle() {
  if (keeps_ || users_ > 0 || state_ == State::kSendingAgain) return;
  bytes_ = std::string();
  next_ = 0;
}

}  // namespace weft
