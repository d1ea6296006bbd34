// A call that may have several attempts: starts them, one after another (RetryPolicy) or side by
// side (HedgingPolicy), and ends the call once.
//
//   kTrying ──failed, may be repeated──► kPausing ──its time──► kTrying        one after another
//   kTrying ──delay, or a failure──► kTrying with one attempt more             side by side
//      │ an answer, or nothing left to try; cancelled; the channel closed
//      ▼
//   kDone: the call has ended; attempts that are still under way are cancelled and waited for
//
// A plan of one attempt needs none of it: such calls never come here.
//
// CallStarter makes one for each such call. It keeps itself alive until its last attempt has ended.
//
// Threads  Start, CancelCall: any. Everything else: the host's home loop. An attempt ends on the
//          loop of its link; where that is another one, its end is copied and posted home. Where
//          the home loop has closed ends are taken on any thread, one at a time
// Owns     its attempts and what they send; lives until the last of them has ended. The call stays
//          its starter's
// Ends     the call's End runs exactly once
#ifndef WEFT_RPC_CLIENT_CALL_DRIVER_H_
#define WEFT_RPC_CLIENT_CALL_DRIVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/deadline_wheel.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/serialized_request.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/client/attempt_host.h"
#include "weft/rpc/client/attempt_plan.h"
#include "weft/rpc/client/backoff.h"
#include "weft/rpc/client/retry_budget.h"

namespace weft::internal {

// Counts attempts over all calls of one host.
struct AttemptCounts {
  std::atomic<int64_t> retries{0};
  std::atomic<int64_t> hedges{0};
  std::atomic<int64_t> over_budget{0};  // attempts that were not made for want of tokens
};

class CallDriver final : public CallCanceller,
                         public DeadlineEntry,
                         public std::enable_shared_from_this<CallDriver> {
 public:
  // The trailer by which a server says when to try again; negative: not at all.
  static constexpr std::string_view kPushback = "weft-retry-pushback-ms";

  // The things that the drivers of one host share. They outlive the drivers.
  struct Shared {
    AttemptHost& host;
    RetryBudget& budget;
    AttemptCounts& counts;
  };

  // `call` has its deadline and metadata; its request is shared, and not too large. `keeper` keeps
  // what `shared` and `plan` refer to.
  static void Start(std::shared_ptr<const void> keeper, const Shared& shared,
                    const AttemptPlan& plan, OutboundCall& call);

  CallDriver(std::shared_ptr<const void> keeper, const Shared& shared, const AttemptPlan& plan,
             OutboundCall& call);
  ~CallDriver();

  // CallCanceller: for the call's own handle.
  WEFT_ANY_THREAD void CancelCall(uint64_t id) override;
  // DeadlineEntry: the time of WakeAt has come.
  void OnDeadline() override;
  // The channel closes while WakeAt is pending.
  void OnChannelClosed();

 private:
  class Attempt;
  struct OwnEnd;
  enum class State : uint8_t { kTrying, kPausing, kDone };
  // The consequence of an attempt's failure.
  struct Verdict {
    enum class What : uint8_t { kAnswer, kAgain, kStop } what;
    Nanos delay{};              // kAgain
    std::string_view why = {};  // kStop
  };
  // The call's facts, kept here because attempts side by side may outlive the call.
  struct Task {
    const AttemptPlan plan;
    const std::shared_ptr<const void> keeper;
    const MethodInfo& method;
    MonoTime deadline;
    std::shared_ptr<const SerializedRequest> request;
    MethodCalls* const method_counts;  // the call's, or null
  };
  struct Failure {
    CallEnd end;
    std::string trailers;
    int attempt = 0;
    std::string_view why;
  };

  Attempt& NewAttempt();
  void StartNext();
  void BeginHedging();
  void WakeForHedge();
  void WakeAt(MonoTime at);
  void DontWake();
  void OnCancelled();
  // `last`: the end of the last attempt.
  void FinishCancelled(const absl::Status& last);
  void AttemptStarted(Attempt& attempt, CallHandle handle) WEFT_EXCLUDES(mu_);
  void AttemptEnded(Attempt& attempt, const CallEnd& end) WEFT_EXCLUDES(mu_, closed_mu_);
  // `closed`: the home loop.
  void TakeEnd(Attempt& attempt, const CallEnd& end, bool closed) WEFT_EXCLUDES(mu_);
  Verdict Judge(const Attempt& attempt, const CallEnd& end);
  Nanos NextBackoff();
  void KeepFailure(const Attempt& attempt, const CallEnd& end, std::string_view why);
  // Ends the call with an answer, or with the failure of attempt number `attempt`. `why`: the
  // reason for which it is not tried again; may be empty.
  void Finish(CallEnd end, int attempt = 0, std::string_view why = {}) WEFT_EXCLUDES(mu_);
  void FinishWithFailure(std::string_view why);
  bool Cancelled() WEFT_EXCLUDES(mu_);
  void CancelAttempts() WEFT_EXCLUDES(mu_);
  // Always the last step: the driver destroys itself when nothing is under way any more.
  void Release();

  // Fixed at construction.
  const Shared shared_;
  const Task task_;

  // Written before the first attempt starts; then the home loop's.
  OutboundCall* call_;  // null when it has ended
  std::shared_ptr<CallDriver> self_;
  State state_ = State::kTrying;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  int under_way_ = 0;
  bool armed_ = false;    // WakeAt is pending
  bool no_more_ = false;  // the server asked not to try again
  bool maybe_executed_ = false;
  std::unique_ptr<Backoff> backoff_;
  Failure failure_;  // the last one

  Mutex mu_;
  bool cancelled_ WEFT_GUARDED_BY(mu_) = false;  // attempts are cancelled as they start
  Mutex closed_mu_;                              // in place of the home loop, when that has closed
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_CALL_DRIVER_H_
