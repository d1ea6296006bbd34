// Limits on a session's input and waiting times, the same for servers and channels.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_SESSION_LIMITS_H_
#define WEFT_RPC_PROTOCOL_SESSION_LIMITS_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"
#include "weft/rpc/base/inflate_options.h"

namespace weft {

// Negative durations are refused where a server or channel is made.
struct SessionLimits {
  // The largest message taken and sent, in bytes; at most 2 GiB - 1. A larger one ends its call
  // with RESOURCE_EXHAUSTED.
  size_t max_message_bytes = size_t{64} << 20;
  // The longest frame taken, from 32 KiB to 16 MiB. Larger messages travel in pieces of this size.
  // A longer frame closes the connection.
  size_t max_frame_bytes = size_t{64} << 10;
  // Metadata with a request or a reply, at most 16 KiB.
  size_t max_metadata_bytes = size_t{16} << 10;
  // Calls from the peer that may be under way on one connection; more are refused with
  // RESOURCE_EXHAUSTED.
  size_t max_calls = 10'000;
  // Method numbers kept for the peer, in a protocol with such numbers; calls beyond them carry the
  // full name. At most 65535.
  size_t max_methods = 4096;
  // Bytes that may wait to be written on one connection; messages beyond it are refused with
  // RESOURCE_EXHAUSTED. A message is always taken if nothing else waits. Zero: four times
  // max_message_bytes, which is also the other side's limit for unfinished messages.
  size_t max_output_bytes = 0;
  // Bytes of one stream's messages that may wait to be read here; its writer waits beyond that. At
  // least 1 KiB, at most 1 GiB.
  size_t stream_window_bytes = size_t{256} << 10;
  // The same for all streams of one connection together: that many unread bytes of slow readers
  // stop no other stream. At least stream_window_bytes, at most 1 GiB.
  size_t connection_window_bytes = size_t{16} << 20;
  // Limits on compressed messages: codecs, ratio, bytes at once.
  InflateOptions inflate = {};
  // How long an unfinished message may go without a new byte. Then it is dropped, and its call ends
  // with UNAVAILABLE. Time in which this side does not read is not counted. Zero or
  // infinite: no limit.
  absl::Duration max_message_pause = absl::Seconds(30);
  // Time from connect or accept to the peer's Hello, including the transport's handshake.
  // Infinite: no limit. Zero: refused.
  absl::Duration handshake_timeout = absl::Seconds(5);
  // Time without a byte from the peer after which it is asked for one. Zero: never. At
  // most 24 hours, which an infinite one means, too.
  absl::Duration heartbeat_interval = absl::Seconds(10);
  // Silent intervals after the first that end the connection.
  int heartbeat_misses = 2;

  // Most bytes of unfinished messages of one connection together.
  size_t MaxUnfinished() const { return std::max(max_message_bytes * 4, max_message_bytes); }
  // max_output_bytes, or its default if it is zero.
  size_t MaxOutput() const { return max_output_bytes > 0 ? max_output_bytes : MaxUnfinished(); }
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SESSION_LIMITS_H_
