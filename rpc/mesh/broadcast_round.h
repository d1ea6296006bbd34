// One broadcast under way: starts a call to each peer, counts their ends, and knows when the
// outcome is certain.
//
//   kOpen ──the count, a reducer, cancelling──► kCertain ──Deliver──► the caller has it
//   kOpen, kCertain ──Abandon: nobody waits any more──► kAbandoned
//
// Calls that are under way when the outcome is certain are cancelled, or go on
// (BroadcastOptions::let_rest_run). The round's memory stays until the last of them has ended.
//
// TypedRound adds the reply type. Above it, one class for each style (blocking, callback,
// coroutine, one by one) brings the outcome to the caller.
//
// Threads  Launch: the caller's, once. Cancel, Abandon: any. Legs end on any loops, several at once
// Owns     itself while a leg is under way; its legs, in the memory behind it
// Errors   the outcome's status, once certain
// Ends     Deliver is called once, unless the round was abandoned before
#ifndef WEFT_RPC_MESH_BROADCAST_ROUND_H_
#define WEFT_RPC_MESH_BROADCAST_ROUND_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/mesh/broadcast_leg.h"
#include "weft/rpc/mesh/broadcast_plan.h"
#include "weft/rpc/mesh/broadcast_result.h"
#include "weft/rpc/mesh/quorum_count.h"
#include "weft/rpc/mesh/quorum_error.h"
#include "weft/rpc/mesh/reducer.h"

namespace weft::internal {

class BroadcastRound : public CallCanceller,
                       public LegOwner,
                       public std::enable_shared_from_this<BroadcastRound> {
 public:
  enum class State : uint8_t { kOpen, kCertain, kAbandoned };

  ~BroadcastRound() override;

  // Bytes needed behind a round for its legs and its request.
  static size_t RoomFor(const BroadcastPlan& plan) {
    return plan.legs() * sizeof(BroadcastLeg) + plan.own_bytes();
  }
  // Starts the calls. `room` holds RoomFor bytes and lives as long as the round.
  void Launch(const BroadcastPlan& plan, char* room);

  // Ends the broadcast with CANCELLED, unless its outcome is certain. Takes effect later, when a
  // cancelled call ends on its loop.
  void Cancel() WEFT_EXCLUDES(mu_);
  // The caller no longer waits for the outcome or for replies. Cancels calls under way, except
  // those that were let run. No reducer runs when this returns.
  void Abandon() WEFT_EXCLUDES(mu_, reducer_mu_);

  // CallCanceller
  void CancelCall(uint64_t) override { Cancel(); }
  // LegOwner, but for OnLegEnded
  void OnLegStarted(BroadcastLeg& leg, CallHandle handle) override WEFT_EXCLUDES(mu_);
  bool WantsLeg() override WEFT_EXCLUDES(mu_);

 protected:
  // How one leg has ended.
  struct LegEnd {
    PeerEnd end;
    absl::StatusCode code;
    bool may_have_been_executed;
  };
  // Actions to take after the mutex is released. Cancelling and delivering call into other code,
  // which may come back here.
  struct Todo {
    std::shared_ptr<BroadcastRound> keep;  // keeps the round alive until Do returns
    std::vector<CallHandle> cancelled;
    bool drain = false;
    bool deliver = false;
  };

  // `keeps_all`: replies are wanted beyond the outcome, too.
  BroadcastRound(const BroadcastOptions& options, bool reduces, bool keeps_all);

  Mutex& mu() WEFT_RETURN_CAPABILITY(mu_) { return mu_; }
  State state() const WEFT_REQUIRES(mu_) { return progress_.state; }
  const QuorumCount& count() const WEFT_REQUIRES(mu_) { return progress_.count; }
  const absl::Status& status() const WEFT_REQUIRES(mu_) { return progress_.status; }
  // True when every leg has ended, and is counted and told.
  bool all_ended() const WEFT_REQUIRES(mu_) { return progress_.under_way == 0 && ended_.empty(); }
  bool executed() const WEFT_REQUIRES(mu_) { return progress_.executed; }
  const std::shared_ptr<RestOfBroadcast>& rest() const WEFT_REQUIRES(mu_) { return rest_; }
  ClientContext* context() const { return rules_.context; }
  Executor* executor() const { return rules_.executor; }
  const std::shared_ptr<EventLoop>& loop() const { return loop_; }
  bool lets_rest_run() const { return rules_.let_rest_run; }
  Slow slow() const { return rules_.slow; }
  const MethodInfo& method() const { return *method_; }
  // False once nobody wants replies any more. May still be true a moment after that: a hint that
  // saves parsing, not a promise.
  bool MayWantReplies() const { return wants_replies_.load(std::memory_order_acquire); }

  // The action for a leg's reply: drop it; keep it but do not tell it yet; keep it and tell it.
  enum class Keep : uint8_t { kNot, kQuietly, kAndTell };
  // Records a leg's end. A reply kept quietly is told after the reducer has seen it.
  Keep TakeEnd(BroadcastLeg& leg, const LegEnd& end, Todo* todo) WEFT_REQUIRES(mu_);
  // Performs `todo` after the mutex is released.
  void Do(Todo todo) WEFT_EXCLUDES(mu_);

  // ---- by the typed part
  // Makes places for the replies of `legs` peers.
  virtual void Prepare(const BroadcastPlan& plan) = 0;
  // Asks the reducer about a leg that has been counted. Runs under reducer_mu_, on the thread that
  // drains.
  virtual Step Reduce(size_t leg, const QuorumCount& count) = 0;
  virtual absl::Status WhyReduced() const = 0;
  // Adds the errors of failed legs, that of `last` at the end: QuorumError treats the last one
  // apart.
  virtual void AddFailures(size_t last, QuorumError* error) WEFT_REQUIRES(mu_) = 0;
  // A leg's reply or error has been kept, and counted.
  virtual void OnKept(size_t leg) WEFT_REQUIRES(mu_) { (void)leg; }
  // Something may have been told; the mutex is free.
  virtual void OnTold() {}
  // The outcome is certain. `loop`: run the caller's code there, because this is inside the
  // caller's own call. Null: the caller's code may run here.
  virtual void Deliver(EventLoop* loop) = 0;

 private:
  // A leg that has ended, and that the reducer has not seen yet.
  struct Ended {
    size_t leg;
    LegEnd end;
  };

  void MakeLegs(const BroadcastPlan& plan, char* room);
  void StartLegs(const BroadcastPlan& plan);
  void Count(const LegEnd& end) WEFT_REQUIRES(mu_);
  // Decides if the count alone makes the outcome certain.
  void DecideByCount(Todo* todo) WEFT_REQUIRES(mu_);
  void Decide(absl::Status status, Todo* todo) WEFT_REQUIRES(mu_);
  void CollectHandles(std::vector<CallHandle>* handles) WEFT_REQUIRES(mu_);
  absl::Status TooFew() WEFT_REQUIRES(mu_);
  // Asks the reducer about each ended leg, until none is left. One thread at a time.
  void Drain() WEFT_EXCLUDES(mu_);
  // False: no leg waits, or the outcome is certain; draining is over then.
  bool NextToReduce(Ended* next) WEFT_REQUIRES(mu_);
  bool KeepsRest() const WEFT_REQUIRES(mu_) {
    return rules_.keeps_all && rules_.let_rest_run && progress_.state == State::kCertain;
  }
  void Apply(Step step, Todo* todo) WEFT_REQUIRES(mu_);

  struct Rules {
    Slow slow;
    bool let_rest_run, reduces, keeps_all;
    ClientContext* context;
    Executor* executor;
  };
  // In the order of the plan.
  struct Legs {
    BroadcastLeg* first = nullptr;
    size_t count = 0;
  };
  struct Progress {
    State state = State::kOpen;
    bool cancelled = false;
    bool executed = false;  // some call may have been
    bool draining = false;  // a thread is in Drain, or about to be
    QuorumCount count = {};
    size_t under_way = 0;
    size_t last_failed = 0;
    absl::Status status = {};
    bool too_few = false;  // the status must still be made from the legs' failures
  };
  // Fixed at construction.
  const Rules rules_;
  // Fixed by Launch, before the first leg starts.
  const MethodInfo* method_ = nullptr;
  std::shared_ptr<EventLoop> loop_;
  Legs legs_;

  std::atomic<bool> wants_replies_{true};
  Mutex reducer_mu_;  // around the reducer

  Mutex mu_;
  Progress progress_ WEFT_GUARDED_BY(mu_);
  std::vector<Ended> ended_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<RestOfBroadcast> rest_ WEFT_GUARDED_BY(mu_);
  std::shared_ptr<BroadcastRound> self_ WEFT_GUARDED_BY(mu_);  // while a leg is under way
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_BROADCAST_ROUND_H_
