#include "weft/rpc/server/connection_log.h"

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/named_peer.h"

namespace weft::internal {
namespace {

// Connections end in these four ways every day, as when a client's process goes. The other ends are
// faults or refusals: somebody should look at them.
LogLevel LevelOf(CloseReason reason) {
  switch (reason) {
    case CloseReason::kPeerClosed:
    case CloseReason::kLocal:
    case CloseReason::kGoAway:
    case CloseReason::kBroken:
      return LogLevel::kDebug;
    default:
      return LogLevel::kWarning;
  }
}

// Of a peer of the node: its own line says that the peer is lost, or not to be had, and why.
bool NodeTells(CloseReason reason) {
  switch (reason) {
    case CloseReason::kVersion:
    case CloseReason::kHandshakeTimeout:
    case CloseReason::kHandshakeFailed:
    case CloseReason::kUnauthenticated:
    case CloseReason::kSilent:
      return true;
    default:
      return false;
  }
}

}  // namespace

void ConnectionLog::Write(MonoTime now, LogLevel level, std::string_view line) {
  int64_t dropped = 0;
  if (!limiter_.Allow(now, &dropped)) return;
  log_.Write(level, dropped > 0
                        ? absl::StrCat(AbslView(line), "; ", dropped, " lines were left out before")
                        : std::string(line));
}

void ConnectionLog::Refused(MonoTime now, std::string_view peer, std::string_view why) {
  Write(now, LogLevel::kWarning,
        absl::StrCat("server: connection refused: ", NamedPeer::AtEnd(why, "from", peer)));
}

void ConnectionLog::Ended(MonoTime now, CloseReason reason, const absl::Status& why,
                          std::string_view peer, bool of_peer) {
  const LogLevel level = of_peer && NodeTells(reason) ? LogLevel::kDebug : LevelOf(reason);
  if (!log_.Wants(level)) return;
  Write(now, level,
        absl::StrCat("server: ", AbslView(CloseReasonName(reason)), ": ",
                     NamedPeer::AtEnd(std::string(why.message()), "from", peer)));
}

}  // namespace weft::internal
