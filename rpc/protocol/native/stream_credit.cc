#include "weft/rpc/protocol/native/stream_credit.h"

#include <utility>

#include "weft/core/check.h"

namespace weft::internal::native {

StreamCredit::StreamCredit(size_t stream_window, size_t connection_window)
    : stream_window_(stream_window),
      connection_window_(connection_window),
      receive_credit_(static_cast<int64_t>(connection_window)) {}

void StreamCredit::Spend(NativeStream& stream, size_t cost) {
  // A message may be larger than the credit left: any credit allows one message, and the balance
  // goes below zero.
  WEFT_DCHECK(Has(stream));
  stream.credit -= static_cast<int64_t>(cost);
  credit_ -= static_cast<int64_t>(cost);
}

bool StreamCredit::Add(NativeStream& stream, uint32_t bytes) {
  stream.credit += bytes;
  return stream.credit <= kMaxCredit;
}

bool StreamCredit::AddToConnection(uint32_t bytes, bool* first) {
  *first = credit_ <= 0;
  credit_ += bytes;
  return credit_ <= kMaxCredit;
}

void StreamCredit::Park(StreamPort& port) {
  if (std::exchange(NativeStream::Of(port).wants_room, true)) return;
  waiting_.push_back(port.shared_from_this());
}

void StreamCredit::StopWaiting(StreamPort& port) {
  NativeStream::Of(port).wants_room = false;
  const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const auto& waiting) { return waiting.get() == &port; });
  if (it != waiting_.end()) waiting_.erase(it);
}

StreamCredit::Ports StreamCredit::TakeWaiting() { return std::exchange(waiting_, {}); }

size_t StreamCredit::Return(size_t bytes) {
  unreturned_ += bytes;
  // Given back in shares of the window: a WINDOW frame for each message would cost more than the
  // message.
  if (unreturned_ < connection_window_ / kReturnShare) return 0;
  const size_t back = std::exchange(unreturned_, 0);
  // Before the frame is written: the peer cannot use credit that this side would not yet allow.
  receive_credit_.fetch_add(static_cast<int64_t>(back), std::memory_order_relaxed);
  return back;
}

size_t StreamCredit::ReturnToStream(NativeStream& stream, size_t bytes) {
  stream.unreturned += bytes;
  if (stream.unreturned < stream_window_ / kReturnShare) return 0;
  const size_t back = std::exchange(stream.unreturned, 0);
  stream.receive_credit.fetch_add(static_cast<int64_t>(back), std::memory_order_relaxed);
  return back;
}

}  // namespace weft::internal::native
