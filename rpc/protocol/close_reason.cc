#include "weft/rpc/protocol/close_reason.h"

namespace weft {

std::string_view CloseReasonName(CloseReason reason) {
  // Without a default, so that the compiler points out a reason that has no name.
  switch (reason) {
    case CloseReason::kPeerClosed:
      return "peer closed";
    case CloseReason::kBroken:
      return "broken";
    case CloseReason::kLocal:
      return "closed by this side";
    case CloseReason::kGoAway:
      return "peer is going away";
    case CloseReason::kUnknownProtocol:
      return "unknown protocol";
    case CloseReason::kVersion:
      return "no common version";
    case CloseReason::kHandshakeTimeout:
      return "no handshake in time";
    case CloseReason::kHandshakeFailed:
      return "handshake failed";
    case CloseReason::kFrameTooLong:
      return "frame too long";
    case CloseReason::kTruncatedFrame:
      return "truncated frame";
    case CloseReason::kBadFrame:
      return "bad frame";
    case CloseReason::kUnauthenticated:
      return "unauthenticated";
    case CloseReason::kSilent:
      return "silent peer";
    case CloseReason::kOutputFull:
      return "peer does not read";
    case CloseReason::kInputFull:
      return "too much input";
  }
  return "";
}

}  // namespace weft
