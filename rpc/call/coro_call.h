// A call under way that a coroutine awaits: `absl::StatusOr<Reply> r = co_await
// stub.SayCoro(request)`.
//
// The call has started when the stub returns this. It may be awaited once, or not at all;
// destroying it before its end (by destroying the coroutine that awaits it) cancels the call. That
// may be done on any thread as long as the call cannot end at the same moment: on the thread or
// executor on which the coroutine would resume, or where the end is known to be far, as in a
// shutdown.
//
// Resumes on CallOptions::executor; without one on the worker pool whose thread awaited, else on
// the I/O thread; never inside another call of the user's (core/callback_queue.h).
//
// Threads  value: one holder at a time
// Owns     its share of the call's state
// Ends     the awaiter is resumed exactly once, or never when it was destroyed before
#ifndef WEFT_RPC_CALL_CORO_CALL_H_
#define WEFT_RPC_CALL_CORO_CALL_H_

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "weft/core/check.h"
#include "weft/core/mutex.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/call/resume_ticket.h"
#include "weft/rpc/call/resumption.h"
#include "weft/rpc/call/trailing_storage_allocator.h"

namespace weft {

namespace internal {

template <typename Reply>
void TakeResult(const OutboundCall& call, const CallEnd& end, absl::StatusOr<Reply>* result);

// State shared by the awaiter and the call, either of which may end first.
template <typename Reply>
struct CoroResult {
  Mutex mu;
  std::optional<absl::StatusOr<Reply>> result WEFT_GUARDED_BY(mu);
  bool awaited WEFT_GUARDED_BY(mu) = false;  // a coroutine waits in `ticket` or `resumption`
  bool abandoned WEFT_GUARDED_BY(mu) = false;
  // Either `ticket` or `resumption` is used. A ticket costs an allocation and is needed with an
  // executor, where the coroutine may be destroyed while the call ends on another thread.
  std::shared_ptr<ResumeTicket> ticket WEFT_GUARDED_BY(mu);
  // Belongs to the awaiter until the call has ended, then to the thread that resumes or destroys
  // the coroutine. The two never overlap, so no lock guards it.
  std::optional<Resumption> resumption;

  void Suspend(std::coroutine_handle<> awaiter, Executor* wish) WEFT_REQUIRES(mu) {
    if (wish == nullptr) wish = Executor::Current();
    if (wish != nullptr) {
      ticket = std::make_shared<ResumeTicket>(awaiter, wish);
    } else {
      resumption.emplace().Suspend(awaiter, nullptr);
    }
    awaited = true;
  }
  // Resumes the coroutine. Called without the lock, after `awaited` was taken back under it;
  // `taken` is the `ticket` of that moment.
  void Go(std::shared_ptr<ResumeTicket> taken) {
    if (taken != nullptr) {
      ResumeTicket::Go(std::move(taken), nullptr);
    } else {
      resumption->Go(nullptr);
    }
  }
};

template <typename Reply>
class CoroCallState final : public OutboundCall, public CoroResult<Reply> {
 public:
  using OutboundCall::OutboundCall;

  // Allocates the state and, if the request is not larger than kMaxKept, the request's bytes behind
  // it in the same block.
  static std::shared_ptr<CoroCallState> New(const MethodInfo& m,
                                            const google::protobuf::MessageLite& r,
                                            const CallOptions& o) {
    const size_t size = MessageCodec::ByteSize(r);
    const bool keep = size <= kMaxKept;
    char* room = nullptr;
    auto state = std::allocate_shared<CoroCallState>(
        TrailingStorageAllocator<CoroCallState>(keep ? size : 0, &room), m, r, o);
    if (keep) state->request.KeepIn(room, size);
    return state;
  }

  void Launch(CallTarget& target, std::shared_ptr<CoroCallState> self) {
    self_ = std::move(self);
    target.Start(*this);
  }

  bool wants_handle() const override { return true; }
  void Started(CallHandle handle) override {
    {
      MutexLock lock(this->mu);
      if (!this->abandoned) {
        OutboundCall::Started(handle);
        handle_ = std::move(handle);
        return;
      }
    }
    handle.Cancel();  // abandoned before there was a handle to cancel
  }

  bool PrepareAgain() override {
    MutexLock lock(this->mu);
    return !this->abandoned && OutboundCall::PrepareAgain();
  }

  void Complete(const CallEnd& end) override {
    // Keeps this object until the end of the function: resuming may destroy the coroutine and its
    // share.
    const std::shared_ptr<CoroCallState> self = std::move(self_);
    std::shared_ptr<ResumeTicket> taken;
    {
      MutexLock lock(this->mu);
      handle_ = CallHandle();
      if (this->abandoned) return;  // its ClientContext may have gone with the coroutine
      TakeResult(*this, end, &this->result.emplace());
      if (!std::exchange(this->awaited, false)) return;
      taken = this->ticket;
    }
    this->Go(std::move(taken));
  }

  // The awaiter is gone: nobody is to be resumed, and the call need not go on.
  void Abandon() {
    CallHandle handle;
    {
      MutexLock lock(this->mu);
      this->abandoned = true;
      this->awaited = false;
      // Under the lock, so that Complete either has taken the ticket already or never resumes it.
      handle = std::move(handle_);
      if (this->ticket != nullptr) this->ticket->TakeBack();
    }
    this->resumption.reset();
    handle.Cancel();
  }

 private:
  std::shared_ptr<CoroCallState> self_;  // the carrier's, until Complete
  CallHandle handle_ WEFT_GUARDED_BY(this->mu);
};

}  // namespace internal

template <typename Reply>
class [[nodiscard]] CoroCall {
 public:
  using State = internal::CoroCallState<Reply>;

  explicit CoroCall(std::shared_ptr<State> state) : state_(std::move(state)) {}
  // Makes a call that has ended already, for mocks.
  explicit CoroCall(absl::StatusOr<Reply> result) : ready_(std::move(result)) {}
  CoroCall(CoroCall&&) noexcept = default;
  CoroCall& operator=(CoroCall&& o) noexcept {
    std::swap(state_, o.state_);
    std::swap(ready_, o.ready_);
    return *this;
  }
  ~CoroCall() {
    if (state_ != nullptr) state_->Abandon();
  }

  bool await_ready() { return ready_.has_value(); }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    internal::MutexLock lock(state_->mu);
    if (state_->result.has_value()) return false;  // ended meanwhile: go on at once
    state_->Suspend(awaiter, state_->options.executor);
    return true;
  }
  absl::StatusOr<Reply> await_resume() {
    if (ready_.has_value()) return *std::move(ready_);
    const std::shared_ptr<State> state = std::move(state_);
    internal::MutexLock lock(state->mu);
    WEFT_DCHECK(state->result.has_value());
    return *std::move(state->result);
  }

 private:
  std::shared_ptr<State> state_;
  std::optional<absl::StatusOr<Reply>> ready_;
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_CORO_CALL_H_
