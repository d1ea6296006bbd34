// Makes this side's Hello and checks the peer's: both hold to them afterwards.
//
// Threads  value; functions without state
// Errors   FAILED_PRECONDITION with both sides' versions, or the features; INVALID_ARGUMENT: an
//          impossible Hello
#ifndef WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_H_
#define WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/rpc/protocol/hello_facts.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal::native {

// The most metadata of one message, whatever the settings say.
inline constexpr size_t kMaxMetadata = size_t{16} << 10;
// Smallest max_frame_bytes: a shorter frame could not hold its metadata.
inline constexpr size_t kMinFrame = size_t{32} << 10;
inline constexpr size_t kLargestFrame = size_t{16} << 20;

// Bits of Hello::features.
enum Feature : uint64_t {
  kStreams = 1 << 0,
  kAttachments = 1 << 1,
  kGzip = 1 << 2,
  kZstd = 1 << 3,
  kInitialMetadata = 1 << 4,
  kStreamAttachments = 1 << 5,
  kClock = 1 << 6,
};

// Settings agreed on, or sent by the peer.
struct PeerSettings {
  uint32_t version = 0;
  // Limits of the peer's input.
  size_t max_frame = 0;
  size_t max_message = 0;
  size_t max_metadata = 0;
  size_t max_calls = 0;
  size_t max_methods = 0;
  // Zero: the peer takes no streams.
  size_t stream_window = 0;
  size_t connection_window = 0;
  bool attachments = false;         // beside requests and replies
  bool stream_attachments = false;  // beside the messages of streams
  bool gzip = false;
  bool zstd = false;
  bool initial_metadata = false;
  bool clock = false;  // in the answer to a PING
};

// A whole Hello. Only the PeerSettings are kept after the handshake.
struct PeerHello : PeerSettings {
  Nanos heartbeat = Nanos::zero();  // zero: none
  int heartbeat_misses = 2;
  HelloFacts facts;
  // The peer refuses this side; a GOAWAY with the reason follows.
  bool refused = false;
};

class Handshake {
 public:
  static size_t StreamWindow(const SessionLimits& limits);
  static size_t ConnectionWindow(const SessionLimits& limits);
  // The bytes of this side's Hello. `features`: in addition to those of every side.
  static std::string MakeHello(const SessionLimits& limits, const HelloFacts& own,
                               uint64_t features = 0);
  // The Hello for a refused peer: it tells nothing about this side but its limits.
  static std::string MakeRefusal(const SessionLimits& limits);
  static absl::StatusOr<PeerHello> ReadHello(std::string_view bytes, const SessionLimits& own);
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_HANDSHAKE_H_
