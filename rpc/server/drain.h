// The end of one loop of a server: its connections are told, its calls end or are cancelled, and
// nothing of the server's runs any more.
//
//   kNone ──Begin──► kCalls ──no session, no call──► kAuthenticators ──► kHandlers ──► kDrained
//
// kCalls: the clients were told. A connection is closed when its client has confirmed that, or has
// had the time to, and its calls have ended. At the deadline all are closed, and their calls
// cancelled. kAuthenticators: waits for the authenticators at work. kHandlers: waits for handlers
// that have answered but may still be on their way out of their service.
//
// Each step learns of its end by a callback. Only steps with a limit use the timer.
//
// A member of ServerLoop.
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

namespace weft::internal {

class Drain {
 public:
  enum class Step : uint8_t { kNone, kCalls, kAuthenticators, kHandlers, kDrained };
  static constexpr bool MayGo(Step from, Step to) {
    return static_cast<int>(to) == static_cast<int>(from) + 1;
  }

  // The parts that end. All but the dispatcher are one loop's. `bell`: the bell of `calls`, which
  // calls OnCallsBack.
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

  bool begun() const WEFT_LOOP_ONLY { return step_ != Step::kNone; }
  // Begins the end, once. Calls may go on until `deadline`. From now on no session is put into the
  // table.
  void Begin(MonoTime deadline, std::function<void()> done) WEFT_LOOP_ONLY;
  // A session has confirmed, or its calls have ended.
  void CloseIfFinished(Session& session) WEFT_LOOP_ONLY;
  // A session is out of the table.
  void OnSessionEnded() WEFT_LOOP_ONLY {
    if (begun()) parts_.bell->Ring();
  }
  // Calls were taken back into the pool, or sessions have ended.
  void OnCallsBack() WEFT_LOOP_ONLY;

 private:
  void SetStep(Step to) WEFT_LOOP_ONLY;
  // A limit has come.
  void OnTimer() WEFT_LOOP_ONLY;
  void WarnOfHandlers(MonoTime now) WEFT_LOOP_ONLY;
  void AwaitHandlers();
  void End();
  // Runs the next step on the loop. This object waits for it there.
  WEFT_ANY_THREAD void Resume(void (Drain::*next)());

  const std::shared_ptr<EventLoop> loop_;
  const Parts parts_;
  const Log log_;
  Step step_ WEFT_LOOP_OWNED = Step::kNone;
  MonoTime deadline_ WEFT_LOOP_OWNED = kNever;
  MonoTime confirm_by_ WEFT_LOOP_OWNED{};  // that the server goes away
  MonoTime next_warning_ WEFT_LOOP_OWNED{};
  // True once the deadline has cancelled the calls under way.
  bool cancelled_ WEFT_LOOP_OWNED = false;
  Timer timer_ WEFT_LOOP_OWNED;
  std::function<void()> done_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_DRAIN_H_
