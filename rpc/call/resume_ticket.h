// A suspended coroutine that is resumed, or taken back by its end, whichever comes first: on
// different threads, with no lock between them. It outlives the coroutine and whatever was awaited.
//
//   Go ──► the executor's queue ──► resumes ◄──┐ one of the two
//   TakeBack, when the coroutine is destroyed ──┘
//
// Threads  Go: any, once. TakeBack: the thread or executor on which the coroutine would resume
// Owns     a share of the handler's scope, until it resumes; nothing of the coroutine
// Errors   an executor that has stopped and destroys the closure resumes the coroutine by that
// Ends     the coroutine is resumed at most once, and never after TakeBack
#ifndef WEFT_RPC_CALL_RESUME_TICKET_H_
#define WEFT_RPC_CALL_RESUME_TICKET_H_

#include <atomic>
#include <coroutine>
#include <memory>

#include "weft/core/executor.h"
#include "weft/rpc/call/call_scope.h"

namespace weft::internal {

class EventLoop;

class ResumeTicket {
 public:
  // Remembers this thread's executor and scope. `wish`: the executor wished for; null: none.
  ResumeTicket(std::coroutine_handle<> awaiter, Executor* wish);
  // With a scope and an executor, either of which may be null, that were remembered before.
  ResumeTicket(std::coroutine_handle<> awaiter, Executor* executor,
               std::shared_ptr<CallScope> scope);

  // Resumes the coroutine, here or later. `loop`: where it goes on without an executor; null: this
  // thread.
  static void Go(std::shared_ptr<ResumeTicket> ticket, EventLoop* loop);
  void TakeBack() { awaiter_.store(nullptr, std::memory_order_release); }

 private:
  class Runner;

  void Resume();

  std::atomic<void*> awaiter_;  // null: it was resumed, or taken back
  Executor* const executor_;
  std::shared_ptr<CallScope> scope_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_RESUME_TICKET_H_
