#include "weft/rpc/call/stream_inbox.h"

#include <cstring>

namespace weft::internal {

StreamRead StreamInbox::Take(ReadBatch* batch) {
  if (state_ == State::kDropped) return StreamRead::kEnd;
  if (items_.empty()) return state_ == State::kOpen ? StreamRead::kNothingYet : StreamRead::kEnd;
  batch->Fill(&items_, std::exchange(cost_, 0), source_);
  return StreamRead::kMessage;
}

bool StreamInbox::WaitForMessages(StreamWake& wake) {
  if (!items_.empty() || state_ != State::kOpen) return false;
  reader_ = std::move(wake);
  return true;
}

bool StreamInbox::WaitForBeginning(StreamWake& wake) {
  if (beginning_ != Beginning::kUnknown) return false;
  awaits_beginning_ = std::move(wake);
  return true;
}

size_t StreamInbox::Drop(std::vector<StreamItem>* dropped) {
  if (state_ != State::kDropped) set_state(State::kDropped);
  dropped->swap(items_);
  chunk_.reset();
  return std::exchange(cost_, 0);
}

void StreamInbox::Keep(ReceivedMessage* message) {
  const size_t size = message->size + message->attachment_size;
  // A small message would keep the whole input block until the reader comes.
  if (size >= kCopyBelow) return;
  if (size == 0) {
    message->block.reset();
    return;
  }
  if (!chunk_ || chunk_->capacity() - chunk_used_ < size) {
    // While nothing waits the first chunk is small: a stream that is read as fast as messages come
    // needs no more.
    chunk_ = BlockRef::New(items_.empty() && !chunk_ ? kCopyBelow : kChunk);
    chunk_used_ = 0;
  }
  char* const to = chunk_->data() + chunk_used_;
  std::memcpy(to, message->data, size);
  chunk_used_ += size;
  message->block = chunk_;
  message->data = to;
}

}  // namespace weft::internal
