// A sleep under way: between the coroutine that awaits it, the loop that has its timer, and the
// call whose handler sleeps.
//
//   Suspend ──posts──► the loop starts the timer ──► it fires, also when the loop closes ──┐
//   the loop has closed ───────────────────────────────────────────────────────────────────┼─► End
//   the call's stop token ─────────────────────────────────────────────────────────────────┤
//   GiveUp: the awaiter is gone ───────────────────────────────────────────────────────────┘
//
// The first end counts. Later ones change nothing.
//
// Threads  Suspend, GiveUp, TakeStatus: the coroutine's. The stop token: any
// Owns     its timer; a share of itself from Suspend until the loop is through with it
// Ends     the coroutine is resumed once, unless it gave up before
#ifndef WEFT_RPC_CALL_SLEEP_WAIT_H_
#define WEFT_RPC_CALL_SLEEP_WAIT_H_

#include <coroutine>
#include <memory>
#include <optional>
#include <stop_token>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/loop_task.h"
#include "weft/core/mutex.h"
#include "weft/core/timer.h"
#include "weft/rpc/call/call_scope.h"
#include "weft/rpc/call/resume_ticket.h"

namespace weft::internal {

class SleepWait final : private LoopTask, public std::enable_shared_from_this<SleepWait> {
 public:
  // Ends with `status` at the time `at`.
  SleepWait(std::shared_ptr<EventLoop> loop, MonoTime at, absl::Status status);

  // Suspends the coroutine, once. `scope`: its cancelling ends the sleep; may be null. False: the
  // sleep has ended already.
  bool Suspend(std::coroutine_handle<> awaiter, const std::shared_ptr<CallScope>& scope)
      WEFT_EXCLUDES(mu_);
  void GiveUp() WEFT_EXCLUDES(mu_);
  // Returns how the sleep ended. Call it after the end.
  absl::Status TakeStatus() WEFT_EXCLUDES(mu_);

 private:
  struct OnStop {
    SleepWait* wait;
    void operator()() const { wait->OnCancelled(); }
  };

  // LoopTask: the loop starts the timer, or has closed.
  void Run() override WEFT_EXCLUDES(mu_);
  void Cancel() override WEFT_EXCLUDES(mu_);
  void OnTimer() WEFT_EXCLUDES(mu_);
  void OnCancelled() WEFT_EXCLUDES(mu_);
  void End(absl::Status status) WEFT_EXCLUDES(mu_);
  // Asks the loop to stop the timer, if it runs.
  void StopTimer();

  const std::shared_ptr<EventLoop> loop_;
  const MonoTime at_;
  const absl::Status status_at_end_;
  Timer timer_;                                        // the loop's
  std::shared_ptr<SleepWait> self_;                    // the loop's, from its posting on
  std::optional<std::stop_callback<OnStop>> on_stop_;  // the coroutine's

  Mutex mu_;
  bool ended_ WEFT_GUARDED_BY(mu_) = false;
  absl::Status status_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<ResumeTicket> ticket_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_SLEEP_WAIT_H_
