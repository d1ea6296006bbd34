// Base of BroadcastCall and BroadcastReader: takes the replies or messages of many peers one by
// one, blocking, in a coroutine or with a callback.
//
// Threads  one taker at a time, any thread
// Owns     its share of the round, which its holder abandons
// Ends     a callback is called once, at the latest when the round is abandoned
#ifndef WEFT_RPC_MESH_ONE_BY_ONE_H_
#define WEFT_RPC_MESH_ONE_BY_ONE_H_

#include <coroutine>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "weft/core/callback_queue.h"
#include "weft/core/event_loop.h"
#include "weft/core/executor.h"
#include "weft/core/parker.h"
#include "weft/rpc/call/resume_ticket.h"
#include "weft/rpc/call/unary_call.h"

namespace weft::internal {

template <typename Round, typename Item>
class OneByOne {
 public:
  class NextAwaiter;

  // Waits for the next item; false: there are no more. On an I/O thread it does not wait: false
  // also if none is there yet.
  bool Next(Item* out) {
    if (EventLoop::Current() == nullptr) {
      Parker parker;
      if (round_->AwaitNext([&] { parker.Unpark(); })) parker.Park();
    }
    return round_->Take(out);
  }
  // Await it for a bool. `out` must live until the coroutine goes on.
  NextAwaiter NextCoro(Item* out) { return NextAwaiter(round_, out); }
  // Calls back once, by the rule of core/callback_queue.h, or on BroadcastOptions::executor. `out`
  // must live until then.
  void NextAsync(Item* out, absl::AnyInvocable<void(bool) &&> done) {
    auto shared = std::make_shared<absl::AnyInvocable<void(bool) &&>>(std::move(done));
    const auto tell = [round = round_, out, shared](EventLoop* loop) {
      auto call = [round, out, shared] {
        const bool more = round->Take(out);
        std::move (*shared)(more);
      };
      if (Executor* const executor = round->wish()) {
        CallbackQueue::Execute(*executor, kWhat, std::move(call));
      } else {
        CallbackQueue::Call(loop, kWhat, std::move(call));
      }
    };
    if (!round_->AwaitNext([tell] { tell(nullptr); })) tell(round_->home());
  }

  // Ends the broadcast with CANCELLED, unless its outcome is certain.
  void Cancel() { round_->Cancel(); }

 protected:
  explicit OneByOne(std::shared_ptr<Round> round) : round_(std::move(round)) {}
  ~OneByOne() = default;
  OneByOne(OneByOne&&) noexcept = default;
  OneByOne& operator=(OneByOne&& o) noexcept {
    std::swap(round_, o.round_);
    return *this;
  }

  // Null once it has been taken.
  const std::shared_ptr<Round>& round() const { return round_; }
  std::shared_ptr<Round> TakeRound() { return std::move(round_); }
  // Waits until the outcome is certain. An error: the outcome is open, and this thread must not
  // wait.
  static absl::Status AwaitOutcome(Round& round) {
    if (EventLoop::Current() == nullptr) {
      Parker parker;
      if (round.AwaitOutcome([&] { parker.Unpark(); })) parker.Park();
    } else if (round.AwaitOutcome([] {})) {
      return CheckMayBlock(round.called());
    }
    return absl::OkStatus();
  }

 private:
  static constexpr char kWhat[] = "the callback of a broadcast's next message";

  std::shared_ptr<Round> round_;
};

template <typename Round, typename Item>
class [[nodiscard]] OneByOne<Round, Item>::NextAwaiter {
 public:
  NextAwaiter(std::shared_ptr<Round> round, Item* out) : round_(std::move(round)), out_(out) {}
  // Destroys an awaiter whose coroutine is destroyed while it waits, perhaps just when it is to be
  // resumed. The ticket decides which comes first.
  ~NextAwaiter() {
    if (ticket_ == nullptr) return;
    ticket_->TakeBack();
    round_->StopWaiting();
  }
  NextAwaiter(const NextAwaiter&) = delete;
  NextAwaiter& operator=(const NextAwaiter&) = delete;

  bool await_ready() { return false; }
  bool await_suspend(std::coroutine_handle<> awaiter) {
    const std::shared_ptr<Round> round = round_;
    ticket_ = std::make_shared<Ticket>(awaiter, round->wish());
    // The waiter holds the ticket and not `this`: once AwaitNext has it, the coroutine may be
    // resumed and this awaiter destroyed before AwaitNext returns.
    if (round->AwaitNext([ticket = ticket_] { Ticket::Go(ticket, nullptr); })) return true;
    ticket_ = nullptr;
    return false;
  }
  bool await_resume() {
    ticket_ = nullptr;
    return round_->Take(out_);
  }

 private:
  using Ticket = ResumeTicket;

  const std::shared_ptr<Round> round_;
  Item* const out_;
  std::shared_ptr<Ticket> ticket_;  // while the coroutine waits
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_ONE_BY_ONE_H_
