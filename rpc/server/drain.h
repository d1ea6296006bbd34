// The end of one loop of a server: its connections are told, its calls end or are cancelled, and
// nothing of the server's runs any more.
//
//   kNone ──Begin──► kCalls ──no session, no call──► kAuthenticators ──► kHandlers ──► kDrained
//
// kCalls: the clients were told. A connection is closed when its client has confirmed that, or has
// had the time to, and its calls have ended; at the deadline all are, and their calls cancelled.
// kAuthenticators: waits for those at work. kHandlers: one that has answered may still be on its
// way out of its service.
//
// Each step is told of its end; only what has a limit has a timer.
//
// Threads  loop-only
// Owns     nothing: refers to the table of sessions, the pool of their calls, the authentications
//          and the dispatcher, which outlive it
// Ends     `done` runs once, in a turn of the loop, never inside Begin
#ifndef WEFT_RPC_SERVER_DRAIN_H_
#define WEFT_RPC_SERVER_DRAIN_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/log.h"
#include "weft/core/loop_bell.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/protocol/session_table.h"
#include "weft/rpc/server/dispatcher.h"
#include "weft/rpc/server/session_authentications.h"

namespace weft {

class Drain {
 public:
  enum class Step : uint8_t { kNone, kCalls, kAuthenticators, kHandlers, kDrained };
  static constexpr bool MayGo(Step from, Step to) {
    return static_cast<int>(to) == static_cast<int>(from) + 1;
  }

  // What ends: of one loop, but for the dispatcher. `bell`: the one of `calls`, whose answer calls
  // OnCallsBack.
  struct Parts {
    SessionTable& sessions;
    CallPool& calls;
    SessionAuthentications& authentications;
    Dispatcher& dispatcher;
    std::shared_ptr<LoopBell> bell;
  };
  Drain(std::shared_ptr<EventLoop> loop, Parts parts, const Log& log);
  Drain(const Drain&) = delete;
  Drain& operator=(const Drain&) = delete;

  bool begun() const LOOP_ONLY { return step_ != Step::kNone; }
  // Once. Until `deadline` calls may go on. From now on no session is put into the table.
  void Begin(MonoTime deadline, std::function<void()> done) LOOP_ONLY;
  // A session has confirmed, or its calls have ended.
  void CloseIfFinished(Session& session) LOOP_ONLY;
  // A session is out of the table.
  void OnSessionEnded() LOOP_ONLY {
    if (begun()) parts_.bell->Ring();
  }
  // Calls were taken back into the pool, or sessions have ended.
  void OnCallsBack() LOOP_ONLY;

 private:
  void SetStep(Step to) LOOP_ONLY;
  // A limit has come.
  void OnTimer() LOOP_ONLY;
  void WarnOfHandlers(MonoTime now) LOOP_ONLY;
  void AwaitHandlers();
  void End();
  // Runs the next step on the loop, on which this waits for it.
  ANY_THREAD void Resume(void (Drain::*next)());

  const std::shared_ptr<EventLoop> loop_;
  const Parts parts_;
  const Log log_;
  Step step_ LOOP_OWNED = Step::kNone;
  MonoTime deadline_ LOOP_OWNED = kNever;
  MonoTime confirm_by_ LOOP_OWNED{};  // that the server goes away
  MonoTime next_warning_ LOOP_OWNED{};
  bool cancelled_ LOOP_OWNED = false;
  Timer timer_ LOOP_OWNED;
  std::function<void()> done_ LOOP_OWNED;
};

}  // namespace weft

#endif  // WEFT_RPC_SERVER_DRAIN_H_
