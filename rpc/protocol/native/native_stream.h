// A native link's part of one stream: its number, the credit of both directions, and the progress
// of the peer's messages. It is placed in the StreamPort's own room (transport_slot.h), so a stream
// needs no further allocation.
//
// Threads  under the link's mutex; `receive_credit` by any thread; members marked as the loop's:
//          the session's loop alone
// Owns     nothing
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/errors.h"

namespace weft::internal {
struct InitialMetadata;
}

namespace weft::internal::native {

struct NativeStream {
  // Makes the stream the link's. `window`: the credit given to the peer.
  static NativeStream& Begin(StreamPort& port, const StreamTransport* link, size_t window) {
    NativeStream& stream = port.slot().Emplace<NativeStream>(link);
    stream.receive_credit.store(static_cast<int64_t>(window), std::memory_order_relaxed);
    return stream;
  }
  // The part of a stream that is the link's.
  static NativeStream& Of(StreamPort& port) { return port.slot().As<NativeStream>(); }
  static const NativeStream& Of(const StreamPort& port) { return port.slot().As<NativeStream>(); }

  // Charges the peer's credit; false: it has sent more than it was given.
  bool Charge(size_t cost) {
    return receive_credit.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }

  uint64_t id = 0;
  int64_t credit = 0;  // given by the peer, for this side's messages
  // Goes before the first message. Null: it was sent, or this side is the caller. Belongs to the
  // call; valid while `open`.
  InitialMetadata* initial_metadata = nullptr;
  // Credit given to the peer and not used. Changed by the loop and by readers that return credit.
  std::atomic<int64_t> receive_credit{0};
  size_t unreturned = 0;  // read, and not given back yet

  bool reply = false;  // of a call that the peer started
  Side side() const { return reply ? Side::kServer : Side::kClient; }
  bool open = false;  // this side may send messages
  bool wants_room = false;
  bool over = false;  // a call that the peer started has been answered

  // The loop's own.
  bool receive_ended = false;  // the peer has ended its side
  bool receive_begun = false;  // the peer has begun its messages
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_
