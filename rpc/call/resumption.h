// A suspended coroutine, and the place where it goes on: the executor that was wished for, else the
// worker pool whose thread awaited, else the I/O thread. It follows the rule of
// core/callback_queue.h: never inside a call that other code of the user's makes.
//
// Threads  Suspend: the coroutine's. Go: any, once, behind Suspend. The destructor: the thread or
//          executor on which it would resume
// Owns     nothing of the coroutine
// Errors   an executor that has stopped and destroys the closure resumes the coroutine by that
// Ends     destroyed between Go and the resuming it takes that back: a coroutine may be destroyed
//          while its resuming is queued
#ifndef WEFT_RPC_CALL_RESUMPTION_H_
#define WEFT_RPC_CALL_RESUMPTION_H_

#include <coroutine>
#include <memory>

#include "weft/core/executor.h"
#include "weft/rpc/call/call_scope.h"

namespace weft::internal {

class EventLoop;

class ResumeTicket;

class Resumption {
 public:
  Resumption() = default;
  ~Resumption();
  Resumption(const Resumption&) = delete;
  Resumption& operator=(const Resumption&) = delete;

  // Remembers this thread's executor and scope. `wish`: the executor wished for; null: none.
  void Suspend(std::coroutine_handle<> awaiter, Executor* wish);
  // Resumes the coroutine, here or later. `loop`: where it goes on without an executor; null: this
  // thread. May destroy the holder of this object.
  void Go(EventLoop* loop);

 private:
  std::coroutine_handle<> awaiter_;
  Executor* executor_ = nullptr;
  std::shared_ptr<CallScope> scope_;
  std::shared_ptr<ResumeTicket> ticket_;  // of a resuming that is queued
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_RESUMPTION_H_
