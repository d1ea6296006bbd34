// The sessions of one endpoint: the one that calls go over, or will, and those that calls go over
// no more and that have not ended.
//
// Threads  loop-only; List: any
// Owns     its sessions
#ifndef WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_
#define WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/protocol/session.h"

namespace weft {

class EndpointSessions {
 public:
  explicit EndpointSessions(ConnectionListener listener) : list_(std::move(listener)) {}

  // The new current one, of a connection to `target`.
  Session& Adopt(std::unique_ptr<Session> session, const std::string& target,
                 MonoTime began) LOOP_ONLY;
  // Null: there is none.
  Session* current() const LOOP_ONLY { return current_.get(); }
  // The link of the session that was adopted last, until somebody takes it: when it is up, or comes
  // to nothing.
  std::shared_ptr<CallLink> TakeOpening() LOOP_ONLY { return std::exchange(opening_, nullptr); }
  // The current one takes no more calls, and stays until it ends.
  void LeaveCurrent(MonoTime now, CloseReason reason, const absl::Status& why) LOOP_ONLY;
  bool any_leaving() const LOOP_ONLY { return !leaving_.empty(); }
  // Those that left at or before `since`; each may end while the others are looked at.
  std::vector<Session*> LeftBy(MonoTime since) const LOOP_ONLY;
  // Why a session left.
  const absl::Status& WhyLeft(const Session& session) const LOOP_ONLY;
  // One that has ended.
  std::unique_ptr<Session> Take(Session& session, CloseReason reason,
                                const absl::Status& why) LOOP_ONLY;
  // Its number, never used again.
  uint64_t NumberOf(const Session& session) const LOOP_ONLY;

  void Set(const Session& session, ConnectionState state) LOOP_ONLY {
    list_.Set(NumberOf(session), state);
  }
  // Of an attempt that is no session yet.
  void Tell(const ConnectionEvent& event) LOOP_ONLY { list_.Tell(event); }
  ANY_THREAD std::vector<ConnectionInfo> List(MonoTime now) const { return list_.List(now); }

 private:
  struct Leaving {
    std::unique_ptr<Session> session;
    MonoTime since;
    absl::Status why;
  };

  std::unique_ptr<Session> current_ LOOP_OWNED;
  std::shared_ptr<CallLink> opening_ LOOP_OWNED;
  std::vector<Leaving> leaving_ LOOP_OWNED;
  absl::flat_hash_map<const Session*, uint64_t> numbers_ LOOP_OWNED;
  ConnectionList list_;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_ENDPOINT_SESSIONS_H_
