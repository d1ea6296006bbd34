#include "weft/rpc/call/sent_messages.h"

#include <cstring>

#include "weft/rpc/base/message_codec.h"

namespace weft::internal {

bool SentMessages::Add(const google::protobuf::MessageLite& message, const absl::Cord* attachment,
                       bool last, std::string_view* bytes) {
  const size_t size = MessageCodec::ByteSize(message);
  const size_t attached = attachment == nullptr ? 0 : attachment->size();
  // Each term is compared with kMax by itself first, so the sum cannot overflow.
  const size_t others = bytes_.size() + attached_bytes_ + sizeof(Head);
  if (!keeps_ || size > kMax || attached > kMax || others + size + attached > kMax) {
    Forget();
    return false;
  }
  const Head head{static_cast<uint32_t>(size), attached > 0, last};
  last_added_ = bytes_.size();
  bytes_.resize(last_added_ + sizeof head + size);
  char* const to = bytes_.data() + last_added_;
  std::memcpy(to, &head, sizeof head);
  MessageCodec::WriteTo(message, to + sizeof head);
  *bytes = std::string_view(to + sizeof head, size);
  if (head.attached) attachments_.push_back(*attachment);
  attached_bytes_ += attached;
  return true;
}

SentMessages::Head SentMessages::HeadAt(size_t at) const {
  // A copy: heads stand between messages of any size, and so are not aligned.
  Head head;
  std::memcpy(&head, bytes_.data() + at, sizeof head);
  return head;
}

void SentMessages::TakeBack() {
  if (HeadAt(last_added_).attached) {
    attached_bytes_ -= attachments_.back().size();
    attachments_.pop_back();
  }
  bytes_.resize(last_added_);
}

bool SentMessages::Open() {
  if (state_ != State::kBound) return false;
  state_ = State::kSendingAgain;
  return true;
}

bool SentMessages::Next(Message* message) {
  if (next_ == bytes_.size()) {
    // Not freed earlier: a Forget while messages were sent again had to leave the bytes in place.
    state_ = State::kOpen;
    FreeIfIdle();
    return false;
  }
  const Head head = HeadAt(next_);
  message->bytes = std::string_view(bytes_).substr(next_ + sizeof head, head.size);
  message->attachment = head.attached ? &attachments_[next_attachment_] : nullptr;
  message->last = head.last;
  return true;
}

void SentMessages::SentNext() {
  const Head head = HeadAt(next_);
  if (head.attached) ++next_attachment_;
  next_ += sizeof head + head.size;
}

bool SentMessages::Unbind() {
  if (!keeps_) return false;
  // The next carrier gets everything from the first message on. A send that is still under way to
  // the old one sees by the turn that its result no longer counts.
  state_ = State::kNowhere;
  next_ = 0;
  next_attachment_ = 0;
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
  // A send between Use and Unuse reads bytes_ without the stream's lock.
  if (keeps_ || users_ > 0 || state_ == State::kSendingAgain) return;
  // A new string, since clear() would keep the memory.
  bytes_ = std::string();
  attachments_ = std::vector<absl::Cord>();
  next_ = 0;
  next_attachment_ = 0;
}

}  // namespace weft::internal
