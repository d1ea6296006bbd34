// A native link's part of one stream: its number, the credit of both directions, and how far the
// peer's messages have come. It stands in the stream's own room (transport_slot.h).
//
// Threads  under the link's mutex; `receive_credit` by any thread; what the session's loop alone
//          reads and writes is marked
// Owns     nothing
#ifndef WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_
#define WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "weft/rpc/call/stream_port.h"

namespace weft {
struct InitialMetadata;
}

namespace weft::native {

struct NativeStream {
  // From here on the stream is the link's. `window`: the credit that the peer was given.
  static NativeStream& Begin(StreamPort& port, const StreamTransport* link, size_t window) {
    NativeStream& stream = port.slot().Emplace<NativeStream>(link);
    stream.receive_credit.store(static_cast<int64_t>(window), std::memory_order_relaxed);
    return stream;
  }
  // Of a stream that is the link's.
  static NativeStream& Of(StreamPort& port) { return port.slot().As<NativeStream>(); }
  static const NativeStream& Of(const StreamPort& port) { return port.slot().As<NativeStream>(); }

  // Of the peer's credit; false: it has sent more than it was given.
  bool Charge(size_t cost) {
    return receive_credit.fetch_sub(static_cast<int64_t>(cost), std::memory_order_relaxed) > 0;
  }

  uint64_t id = 0;
  int64_t credit = 0;  // that the peer gave, for this side's messages
  // Goes before the first message; null: one has been sent, or this side is the caller. The
  // call's, and valid while `open`.
  InitialMetadata* initial_metadata = nullptr;
  // Credit given to the peer and not used; by the loop and whoever returns some.
  std::atomic<int64_t> receive_credit{0};
  size_t unreturned = 0;  // read, and not given back yet

  bool reply = false;  // of a call that the peer started
  bool open = false;   // this side may send messages
  bool wants_room = false;
  bool over = false;  // a call that the peer started has been answered

  // The loop's.
  bool receive_ended = false;  // the peer has ended its side
  bool receive_begun = false;  // it has begun its messages
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_NATIVE_STREAM_H_
