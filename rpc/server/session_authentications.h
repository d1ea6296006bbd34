// The sessions of one loop whose clients are not known yet: the way from each to the authenticator
// of its listener.
//
//   Expect ──► Ask ──► verdict ──► Forget
//
// A member of ServerLoop.
//
// Threads  loop-only
// Owns     a share of each queue that it was given
// Ends     Forget, for each session, when it is up or has ended
#ifndef WEFT_RPC_SERVER_SESSION_AUTHENTICATIONS_H_
#define WEFT_RPC_SERVER_SESSION_AUTHENTICATIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "weft/core/gate.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/authentication_queue.h"
#include "weft/rpc/protocol/call_authentication.h"
#include "weft/rpc/protocol/session.h"

namespace weft::internal {

class SessionAuthentications {
 public:
  // `queue` will be asked; null: everybody may talk. `calls` gets the client's token and asks for
  // each call; null: calls are not asked for. Before the session starts.
  void Expect(const Session& session, std::shared_ptr<AuthenticationQueue> queue,
              CallAuthentication* calls) WEFT_LOOP_ONLY;
  // A refusal may come at once, and end the session.
  void Ask(const Session& session, std::string_view token,
           AuthenticationQueue::Verdict verdict) WEFT_LOOP_ONLY;
  // If the session still waits for its authenticator, that one is not asked any more.
  void Drop(const Session& session) WEFT_LOOP_ONLY;
  void Forget(const Session& session) WEFT_LOOP_ONLY;

  // `idle` runs once no authenticator is at work in any of the queues: now, or later on a thread of
  // one of them.
  void WhenIdle(Gate::Callback idle) WEFT_LOOP_ONLY;
  // The number of authenticators at work.
  size_t running() const WEFT_LOOP_ONLY;

 private:
  struct Entry {
    AuthenticationQueue* queue;
    CallAuthentication* calls;
    uint64_t number = 0;  // in the queue; 0: does not wait there
  };

  absl::flat_hash_map<const Session*, Entry> entries_ WEFT_LOOP_OWNED;
  // The queues of all sessions so far. Listeners may share one.
  std::vector<std::shared_ptr<AuthenticationQueue>> queues_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SESSION_AUTHENTICATIONS_H_
