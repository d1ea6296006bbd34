// The sessions of one endpoint. One of them is the current one, over which calls go or will go. The
// others only finish their calls.
//
// A member of EndpointConnection.
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

namespace weft::internal {

class EndpointSessions {
 public:
  EndpointSessions(EventLoop& loop, ConnectionListener listener)
      : list_(std::move(listener)), table_(loop, list_) {}

  // Takes a session as the new current one, of a connection to `target`. `calls`: its sink; null:
  // calls of the other side are not authenticated.
  Session& Adopt(std::unique_ptr<Session> session, const std::string& target, MonoTime began,
                 std::shared_ptr<CallAuthentication> calls) WEFT_LOOP_ONLY;
  // The authentication of calls on the current session; null for other sessions.
  CallAuthentication* CallsOf(const Session& session) const WEFT_LOOP_ONLY {
    return current_ == &session ? calls_ : nullptr;
  }
  // Null: there is no current session.
  Session* current() const WEFT_LOOP_ONLY { return current_; }
  // Takes the link of the session that was adopted last: when that session is up, or has failed.
  std::shared_ptr<CallLink> TakeOpening() WEFT_LOOP_ONLY {
    return std::exchange(opening_, nullptr);
  }
  // The current one takes no more calls, and stays until it ends.
  void LeaveCurrent(CloseReason reason, const absl::Status& why) WEFT_LOOP_ONLY;
  // A session has ended; `kept` lives until the session is destroyed. True: it was the current one.
  bool Ended(Session& session, CloseReason reason, const absl::Status& why,
             std::shared_ptr<const void> kept) WEFT_LOOP_ONLY;

  bool any_leaving() const WEFT_LOOP_ONLY { return table_.size() > (current_ != nullptr ? 1 : 0); }
  SessionTable& table() WEFT_LOOP_ONLY { return table_; }
  // Tells the listener of an attempt that has no session yet.
  void Tell(const ConnectionEvent& event) WEFT_LOOP_ONLY { list_.Tell(event); }
  WEFT_ANY_THREAD std::vector<ConnectionInfo> List(MonoTime now) const { return list_.List(now); }

 private:
  ConnectionList list_;
  SessionTable table_ WEFT_LOOP_OWNED;
  Session* current_ WEFT_LOOP_OWNED = nullptr;
  CallAuthentication* calls_ WEFT_LOOP_OWNED = nullptr;  // of current_
  std::shared_ptr<CallLink> opening_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_
