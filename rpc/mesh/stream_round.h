// A stream from each of many peers, read as one.
//
//   a peer's stream ──ReadAsync──► its slot, a message ──► the queue of peers with one ──► Take
//         ▲                                                                                  │
//         └──────────────────────── the next one is read when its last was taken ────────────┘
//
// So the round holds at most one message for each peer, beside what the streams receive ahead, and
// a slow peer holds up nobody.
//
// Threads  Launch: the caller's, once. Take, Await: one reader at a time, any thread. Cancel: any
// Owns     the streams, and a message of each
// Ends     Abandon, once: cancels streams that have not ended, and tells the waiter
#ifndef WEFT_RPC_MESH_STREAM_ROUND_H_
#define WEFT_RPC_MESH_STREAM_ROUND_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "weft/core/mutex.h"
#include "weft/rpc/base/method.h"
#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/client_context.h"
#include "weft/rpc/call/client_stream.h"
#include "weft/rpc/call/context_writer.h"
#include "weft/rpc/mesh/broadcast_plan.h"
#include "weft/rpc/mesh/quorum_count.h"
#include "weft/rpc/mesh/quorum_error.h"

namespace weft {

// A message and the peer that sent it.
template <typename Reply>
struct PeerItem {
  std::string peer = {};
  Reply message = {};
};

// The end of a broadcast of streams.
struct [[nodiscard]] BroadcastStreamResult {
  struct Peer {
    std::string name;
    // The stream's end. CANCELLED: it had not ended when the outcome was certain.
    absl::Status status;
  };
  absl::Status status;
  std::vector<Peer> peers;
};

namespace internal {

template <typename Reply>
class StreamRound final : public CallCanceller,
                          public std::enable_shared_from_this<StreamRound<Reply>> {
 public:
  using Waiter = absl::AnyInvocable<void() &&>;

  explicit StreamRound(const BroadcastOptions& options)
      : rules_{options.let_rest_run, options.context, options.executor} {}

  void Launch(const BroadcastPlan& plan) WEFT_EXCLUDES(mu_) {
    method_ = &plan.method;
    loop_ = plan.peers->loop;
    {
      MutexLock lock(mu_);
      count_ = plan.count;
      status_ = plan.why;
      if (status_.ok() && context() != nullptr && context()->cancelled()) status_ = Cancelled();
      certain_ = !status_.ok() || count_.outcome() != QuorumCount::Outcome::kOpen;
      for (size_t i = 0; i < plan.legs(); ++i) slots_.emplace_back().name = plan.NameOf(i);
      if (!status_.ok() || (certain_ && !rules_.let_rest_run)) return;
      open_ = plan.legs();
    }
    // Shared even if small: a stream may be begun again on another connection after Launch has
    // returned.
    std::shared_ptr<const SerializedRequest> request = plan.request;
    if (request == nullptr) request = SerializedRequest::Of(plan.message, plan.request_size);
    CallOptions options = plan.LegOptions();
    options.executor = plan.options.executor;
    for (size_t i = 0; i < plan.legs(); ++i) {
      Slot& slot = slots_[i];  // a deque: references stay valid
      if (context() != nullptr) {
        slot.context.metadata() = context()->metadata();
        slot.context.attachment() = context()->attachment();
        options.context = &slot.context;
      }
      slot.stream = std::make_shared<ClientReader<Reply>>(ClientStreamCall::Launch(
          plan.TargetOf(i), plan.method, plan.message, nullptr, options, request));
    }
    if (context() != nullptr) {
      ContextWriter(*context())
          .SetHandle(CallHandle(std::shared_ptr<CallCanceller>(this->shared_from_this(), this), 1));
    }
    // After all streams exist and can be cancelled: a first end may decide the outcome and cancel
    // the others.
    for (size_t i = 0; i < plan.legs(); ++i) ReadNext(i);
  }
  // The loop for callbacks about messages that are there already, and the executor asked for.
  EventLoop* home() const { return loop_.get(); }
  Executor* wish() const { return rules_.executor; }
  const MethodInfo& called() const { return *method_; }

  // Takes the next message of any peer; false: none is there, or none yet.
  bool Take(PeerItem<Reply>* out) WEFT_EXCLUDES(mu_) {
    size_t from = 0;
    {
      MutexLock lock(mu_);
      if (ready_.empty() || abandoned_) return false;
      from = ready_.front();
      ready_.pop_front();
      out->peer = slots_[from].name;
      out->message = std::move(slots_[from].message);
    }
    ReadNext(from);
    return true;
  }
  // Runs `waiter` once there is a next message, or there can be none any more; on any thread, under
  // no lock. False: that is so already, and `waiter` does not run.
  bool AwaitNext(Waiter waiter) { return Await(std::move(waiter), /*outcome=*/false); }
  // The same for the outcome. Drops messages that were not taken.
  bool AwaitOutcome(Waiter waiter) WEFT_EXCLUDES(mu_) {
    std::deque<size_t> ready;
    {
      MutexLock lock(mu_);
      dropping_ = true;
      ready.swap(ready_);
    }
    for (const size_t from : ready) AskEnd(from);
    return Await(std::move(waiter), /*outcome=*/true);
  }
  void StopWaiting() WEFT_EXCLUDES(mu_) {
    Waiter waiter;  // destroyed after the lock is released
    MutexLock lock(mu_);
    waiter = std::exchange(waiter_, nullptr);
  }

  void Cancel() WEFT_EXCLUDES(mu_) {
    {
      MutexLock lock(mu_);
      if (certain_ || abandoned_) return;
      cancelled_ = true;
    }
    CancelStreams();
  }
  // CallCanceller
  void CancelCall(uint64_t) override { Cancel(); }

  // Ends the reading and returns how the streams ended.
  BroadcastStreamResult Abandon() WEFT_EXCLUDES(mu_) {
    BroadcastStreamResult result;
    // Destroyed after the lock is released: destroying a stream cancels it.
    std::vector<Stream> streams;
    {
      MutexLock lock(mu_);
      abandoned_ = true;
      result.status = status_;
      for (Slot& slot : slots_) {
        result.peers.push_back({slot.name, slot.status});
        streams.push_back(std::move(slot.stream));
      }
    }
    if (context() != nullptr)
      ContextWriter(*context()).SetEnd(Metadata(), absl::ZeroDuration(), true, 1);
    streams.clear();
    Tell();
    return result;
  }

 private:
  using Stream = std::shared_ptr<ClientReader<Reply>>;
  struct Rules {
    bool let_rest_run;
    ClientContext* context;
    Executor* executor;
  };
  struct Slot {
    std::string name;
    ClientContext context;
    Stream stream;  // null: not begun, or the round was abandoned
    Reply message;
    absl::Status status = absl::CancelledError("the outcome was certain before its end");
    bool ended = false;
  };

  bool Await(Waiter waiter, bool outcome) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    if (Ready(outcome)) return false;
    waiter_ = std::move(waiter);
    for_outcome_ = outcome;
    return true;
  }
  bool Ready(bool outcome) const WEFT_REQUIRES(mu_) {
    return abandoned_ || (outcome ? certain_ : !ready_.empty() || open_ == 0);
  }
  void Tell() WEFT_EXCLUDES(mu_) {
    Waiter waiter;
    {
      MutexLock lock(mu_);
      if (waiter_ == nullptr || !Ready(for_outcome_)) return;
      waiter = std::exchange(waiter_, nullptr);
    }
    std::move(waiter)();
  }

  // Starts to read the next message of a peer whose last message was taken.
  void ReadNext(size_t from) WEFT_EXCLUDES(mu_) {
    const Stream stream = StreamOf(from);
    if (stream == nullptr) return;
    stream->ReadAsync(&slots_[from].message, [self = this->shared_from_this(), from](bool more) {
      if (more) {
        self->OnMessage(from);
      } else {
        self->AskEnd(from);
      }
    });
  }
  void OnMessage(size_t from) WEFT_EXCLUDES(mu_) {
    bool drops;
    {
      MutexLock lock(mu_);
      if (!dropping_) ready_.push_back(from);
      drops = dropping_;
    }
    if (drops) {
      AskEnd(from);
    } else {
      Tell();
    }
  }
  void AskEnd(size_t from) WEFT_EXCLUDES(mu_) {
    const Stream stream = StreamOf(from);
    if (stream == nullptr) return;
    stream->FinishAsync([self = this->shared_from_this(), from](absl::Status status) {
      self->OnEnd(from, std::move(status));
    });
  }
  void OnEnd(size_t from, absl::Status status) WEFT_EXCLUDES(mu_) {
    bool cancels = false;
    {
      MutexLock lock(mu_);
      if (abandoned_) return;
      Slot& slot = slots_[from];
      slot.ended = true;
      slot.status = std::move(status);
      --open_;
      if (!certain_) cancels = Decide(from);
    }
    if (cancels) CancelStreams();
    Tell();
  }
  // Counts the end of `last`. True: streams under way must be cancelled.
  bool Decide(size_t last) WEFT_REQUIRES(mu_) {
    const absl::Status& ended = slots_[last].status;
    const QuorumCount::Outcome outcome = ended.ok() ? count_.CountOk() : count_.CountFailure();
    if (cancelled_ && absl::IsCancelled(ended)) {
      status_ = Cancelled();
    } else if (outcome == QuorumCount::Outcome::kOpen) {
      return false;
    } else if (outcome == QuorumCount::Outcome::kHopeless) {
      QuorumError error;
      for (size_t i = 0; i < slots_.size(); ++i) {
        const Slot& slot = slots_[i];
        if (i != last && slot.ended && !slot.status.ok()) error.Add(slot.name, slot.status);
      }
      error.Add(slots_[last].name, ended);
      status_ = error.Make(*method_, count_, "ended well");
    }
    certain_ = true;
    return !rules_.let_rest_run;
  }
  void CancelStreams() WEFT_EXCLUDES(mu_) {
    std::vector<Stream> streams;
    {
      MutexLock lock(mu_);
      for (const Slot& slot : slots_) {
        if (slot.stream != nullptr && !slot.ended) streams.push_back(slot.stream);
      }
    }
    for (const Stream& stream : streams) stream->Cancel();
  }
  // A share of the stream, for use after the mutex is released: on a closed loop the stream calls
  // back at once, and the callback takes the mutex.
  Stream StreamOf(size_t from) WEFT_EXCLUDES(mu_) {
    MutexLock lock(mu_);
    return slots_[from].stream;
  }
  ClientContext* context() const { return rules_.context; }
  absl::Status Cancelled() const {
    return absl::CancelledError(
        absl::StrCat("broadcast ", std::string(method_->full_name), ": cancelled by the caller"));
  }

  const Rules rules_;
  // Set by Launch.
  const MethodInfo* method_ = nullptr;
  std::shared_ptr<EventLoop> loop_;

  Mutex mu_;
  std::deque<Slot> slots_;  // places fixed by Launch; contents under mu_
  QuorumCount count_ WEFT_GUARDED_BY(mu_);
  absl::Status status_ WEFT_GUARDED_BY(mu_);
  bool certain_ WEFT_GUARDED_BY(mu_) = false;
  bool cancelled_ WEFT_GUARDED_BY(mu_) = false;
  bool abandoned_ WEFT_GUARDED_BY(mu_) = false;
  // Nobody takes messages any more: only the ends count.
  bool dropping_ WEFT_GUARDED_BY(mu_) = false;
  size_t open_ WEFT_GUARDED_BY(mu_) = 0;           // streams that have not ended
  std::deque<size_t> ready_ WEFT_GUARDED_BY(mu_);  // peers with a message, in order of arrival
  Waiter waiter_ WEFT_GUARDED_BY(mu_);
  // The waiter waits for the outcome, not for a message.
  bool for_outcome_ WEFT_GUARDED_BY(mu_) = false;
};

}  // namespace internal
}  // namespace weft

#endif  // WEFT_RPC_MESH_STREAM_ROUND_H_
