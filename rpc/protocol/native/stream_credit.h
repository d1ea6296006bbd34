// The credit of a connection's streams in both directions, and the writers that wait for room. A
// part of LinkStreams.
//
//   sending:    Begin, Add (the peer's WINDOW) ──► credit ──► Spend; a writer without room: Park
//   receiving:  credit that the peer has ──► Charge ──► the message is read ──► Return: the credit
//               to give back, in shares of a window
//
// Each stream has its own window, and all streams of a connection share another.
//
// Threads  any, under the output's mutex; Charge: any
// Owns     the connection's credit; shares the waiting ports
// Errors   Add: false for more credit than possible
// Ends     TakeWaiting, after which no port waits
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

namespace weft::internal::native {

class StreamCredit {
 public:
  using Ports = std::vector<std::shared_ptr<StreamPort>>;

  static constexpr int64_t kMaxCredit = int64_t{1} << 31;

  // Windows that this side gives: to each stream, and to all together.
  StreamCredit(size_t stream_window, size_t connection_window);

  // ---- sending
  // Sets the window that the peer gives to all streams together.
  void Begin(size_t connection_window) { credit_ = static_cast<int64_t>(connection_window); }
  bool Has(const NativeStream& stream) const { return stream.credit > 0 && credit_ > 0; }
  // A message is sent. Only if Has.
  void Spend(NativeStream& stream, size_t cost);
  // Adds credit for one stream.
  [[nodiscard]] bool Add(NativeStream& stream, uint32_t bytes);
  // Adds credit for all streams. `*first`: there was none before.
  [[nodiscard]] bool AddToConnection(uint32_t bytes, bool* first);

  // ---- writers that wait
  void Park(StreamPort& port);
  void StopWaiting(StreamPort& port);
  // Takes the ports for which `waits` returns false.
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
  // Takes all waiting ports, at the connection's end.
  Ports TakeWaiting();

  // ---- receiving
  size_t stream_window() const { return stream_window_; }
  size_t connection_window() const { return connection_window_; }
  // Charges the peer for a message; false: it has sent more than it had credit for.
  bool Charge(size_t cost) {
    return receive_credit_.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }
  // Counts bytes that were read or dropped. Returns the credit to give back to the peer now; 0:
  // none yet.
  size_t Return(size_t bytes);
  // The same for the stream's own window, while the stream goes on.
  size_t ReturnToStream(NativeStream& stream, size_t bytes);

 private:
  // Credit goes back when one part in this many of a window has been read.
  static constexpr size_t kReturnShare = 4;

  const size_t stream_window_;
  const size_t connection_window_;
  int64_t credit_ = 0;     // for all streams together
  size_t unreturned_ = 0;  // read and not given back yet
  Ports waiting_;
  std::atomic<int64_t> receive_credit_;  // given to the peer and not used
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_STREAM_CREDIT_H_
