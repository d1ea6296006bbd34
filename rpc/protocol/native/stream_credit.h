// The credit of a connection's streams, in both directions, and the writers that wait for room.
//
//   sending:    Begin, Add (the peer's WINDOW) ──► credit ──► Spend; a writer without room: Park
//   receiving:  credit that the peer has ──► Charge ──► the message is read ──► Return: what is to
//               be given back, in shares of a window
//
// Each stream has a window of its own, and all of a connection have one together.
//
// Threads  any, under the output's mutex; Charge: any
// Owns     the connection's credit; shares the ports that wait
// Errors   Add: false for more credit than there can be
// Ends     TakeWaiting leaves nobody behind
#ifndef WEFT_RPC_PROTOCOL_NATIVE_STREAM_CREDIT_H_
#define WEFT_RPC_PROTOCOL_NATIVE_STREAM_CREDIT_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/native_stream.h"

namespace weft::native {

class StreamCredit {
 public:
  using Ports = std::vector<std::shared_ptr<StreamPort>>;

  static constexpr int64_t kMaxCredit = int64_t{1} << 31;

  // The windows that this side gives: to each stream, to all together.
  StreamCredit(size_t stream_window, size_t connection_window);

  // ---- sending
  // The window that the peer gives to all streams together.
  void Begin(size_t connection_window) { credit_ = static_cast<int64_t>(connection_window); }
  bool Has(const NativeStream& stream) const { return stream.credit > 0 && credit_ > 0; }
  // A message is sent; Has.
  void Spend(NativeStream& stream, size_t cost);
  // More for one stream.
  [[nodiscard]] bool Add(NativeStream& stream, uint32_t bytes);
  // More for all together. `*first`: there was none.
  [[nodiscard]] bool AddToConnection(uint32_t bytes, bool* first);

  // ---- writers that wait
  void Park(StreamPort& port);
  void StopWaiting(StreamPort& port);
  // Those for which `waits` says false; they wait no more.
  template <typename Waits>
  Ports TakeReady(Waits&& waits) {
    const auto ready = std::stable_partition(
        waiting_.begin(), waiting_.end(),
        [&](const std::shared_ptr<StreamPort>& port) { return waits(*port); });
    Ports taken(std::make_move_iterator(ready), std::make_move_iterator(waiting_.end()));
    waiting_.erase(ready, waiting_.end());
    for (const auto& port : taken) NativeStream::Of(*port).wants_room = false;
    return taken;
  }
  // All of them, for the end of the connection.
  Ports TakeWaiting();

  // ---- receiving
  size_t stream_window() const { return stream_window_; }
  size_t connection_window() const { return connection_window_; }
  // Charges the peer with a message; false: it has sent more than it was given.
  bool Charge(size_t cost) {
    return receive_credit_.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }
  // So many bytes were read, or are read by nobody. What the peer is to be given back now; 0:
  // nothing yet.
  size_t Return(size_t bytes);
  // The same of a stream that goes on, to the stream.
  size_t ReturnToStream(NativeStream& stream, size_t bytes);

 private:
  // Credit goes back when so large a share of a window has been read.
  static constexpr size_t kReturnShare = 4;

  const size_t stream_window_;
  const size_t connection_window_;
  int64_t credit_ = 0;     // of all streams together
  size_t unreturned_ = 0;  // read, and not given back yet
  Ports waiting_;
  std::atomic<int64_t> receive_credit_;  // given and not used
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_STREAM_CREDIT_H_
