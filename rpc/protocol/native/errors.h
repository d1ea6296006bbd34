// Error texts used by several parts of the native protocol, each made in one place.
//
// Threads  value; functions without state
// Errors   functions return a code of absl::StatusCode, and a text with size, limit and setting
#ifndef WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/rpc/base/message_limit.h"
#include "weft/rpc/protocol/native/frame_format.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/session_limits.h"

namespace weft::internal::native {

// One end of a call.
enum class Side : uint8_t { kClient, kServer };
constexpr Side OtherSide(Side side) {
  return side == Side::kClient ? Side::kServer : Side::kClient;
}

// This end of the connection: it decides whose options its limits are, whoever calls whom over it.
enum class ConnectionEnd : uint8_t { kDialled, kAccepted, kNode };

class Errors {
 public:
  // "the request of 9 bytes is over the limit of 8 (max_message_bytes of the server)"
  static absl::Status TooLarge(std::string_view what, size_t size, size_t limit,
                               std::string_view setting);
  // The owner of the limits of this end: "server", "channel"; between nodes, which dial in no order
  // that their users know, the "calling node" or "called node". `side`: of this end in the call.
  static std::string_view OwnerOf(ConnectionEnd end, Side side);
  // The same for the limits of the peer.
  static std::string_view OwnerAtPeer(ConnectionEnd end, Side side);
  // A limit with its owner: "max_calls of the server".
  static std::string OwnSetting(ConnectionEnd end, std::string_view name, Side side);
  static std::string PeerSetting(ConnectionEnd end, std::string_view name, Side side);
  // The limit for messages that `end` reads, with its owner.
  static MessageLimit MaxMessage(const SessionLimits& limits, ConnectionEnd end, Side side);
  // The output queue would exceed max_output_bytes of `owner`: `waiting` bytes, with `size` more of
  // a client's request or a server's reply.
  static absl::Status OutputFull(Side side, std::string_view owner, size_t waiting, size_t size,
                                 size_t limit);
  // Describes a broken frame that has come to `end`, with its header.
  static std::string BrokenFrame(FrameError error, const FrameHeader& header, size_t max_frame,
                                 ConnectionEnd end);
  // The Status of a connection closed by this side. It does not name the peer: whoever tells of it
  // does, at the end.
  static absl::Status Closed(std::string_view why);
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_ERRORS_H_
