// The sessions of one endpoint: which one of a table's sessions calls go over, or will. The others
// only finish theirs.
//
// Threads  loop-only; List: any
// Owns     the table, and with it the sessions
// Ends     its owner has ended them all
#ifndef WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_
#define WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/call_authentication.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_table.h"

namespace weft {

class EndpointSessions {
 public:
  EndpointSessions(EventLoop& loop, ConnectionListener listener)
      : list_(std::move(listener)), table_(loop, list_) {}

  // The new current one, of a connection to `target`. `calls`: its sink; null: nobody asks who
  // makes the calls of the other side.
  Session& Adopt(std::unique_ptr<Session> session, const std::string& target, MonoTime began,
                 std::shared_ptr<CallAuthentication> calls) LOOP_ONLY;
  // That of the current one; null of the others.
  CallAuthentication* CallsOf(const Session& session) const LOOP_ONLY {
    return current_ == &session ? calls_ : nullptr;
  }
  // Null: there is none.
  Session* current() const LOOP_ONLY { return current_; }
  // The link of the session that was adopted last, until somebody takes it: when it is up, or comes
  // to nothing.
  std::shared_ptr<CallLink> TakeOpening() LOOP_ONLY { return std::exchange(opening_, nullptr); }
  // The current one takes no more calls, and stays until it ends.
  void LeaveCurrent(CloseReason reason, const absl::Status& why) LOOP_ONLY;
  // One has ended; `kept` stays until it is destroyed. Whether it was the current one.
  bool Ended(Session& session, CloseReason reason, const absl::Status& why,
             std::shared_ptr<const void> kept) LOOP_ONLY;

  bool any_leaving() const LOOP_ONLY { return table_.size() > (current_ != nullptr ? 1 : 0); }
  SessionTable& table() LOOP_ONLY { return table_; }
  // Of an attempt that is no session yet.
  void Tell(const ConnectionEvent& event) LOOP_ONLY { list_.Tell(event); }
  ANY_THREAD std::vector<ConnectionInfo> List(MonoTime now) const { return list_.List(now); }

 private:
  ConnectionList list_;
  SessionTable table_ LOOP_OWNED;
  Session* current_ LOOP_OWNED = nullptr;
  CallAuthentication* calls_ LOOP_OWNED = nullptr;  // of current_
  std::shared_ptr<CallLink> opening_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_
