#include "weft/core/connection_handle.h"

#include "weft/core/connection.h"

namespace weft::internal {

ConnectionHandle::ConnectionHandle(std::shared_ptr<EventLoop> loop,
                                   std::unique_ptr<Transport> transport, std::string peer,
                                   InputBudgets input)
    : loop_(std::move(loop)),
      peer_(std::move(peer)),
      any_thread_may_write_(transport->AnyThreadMayWrite()),
      output_(std::move(transport), loop_->output_budget(), &loop_->blocks()),
      input_([&] {
        input.runtime = loop_->input_budget();
        return std::move(input);
      }()) {}

ConnectionHandle::~ConnectionHandle() = default;

void ConnectionHandle::FlushNow() {
  if (!MayWriteHere()) {
    FlushOnLoop();
    return;
  }
  MutexLock lock(output_.mutex());
  FlushNow(lock);
}

void ConnectionHandle::FlushNow(MutexLock& held) WEFT_NO_THREAD_ANALYSIS {
  if (!MayWriteHere()) {
    held.Unlock();
    FlushOnLoop();
    return;
  }
  const OutputQueue::Flushed result = output_.Flush(held);
  held.Unlock();
  if (result == OutputQueue::Flushed::kClosed) return;
  // The usual end of a write on a worker needs no loop. Relaxed is enough: CloseAfterFlush stores
  // before it takes the mutex that Flush held just now.
  if (result == OutputQueue::Flushed::kAll && !tell_when_empty_.load(std::memory_order_relaxed))
    return;
  Report(result);
}

// Hands the loop a result that it has to act on. The queue stays blocked or claimed meanwhile, so
// there is never a second report under way.
void ConnectionHandle::Report(OutputQueue::Flushed result) {
  if (loop_->InLoop()) {
    loop_->AssertInLoop();
    if (connection_ != nullptr) connection_->Flushed(result);
    return;
  }
  loop_->Post([self = shared_from_this(), result](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    // The connection may have ended since; only the loop can tell.
    self->loop_->AssertInLoop();
    if (self->connection_ != nullptr) self->connection_->Flushed(result);
  });
}

void ConnectionHandle::FlushOnLoop() {
  // Written by the thread that holds the claim, so by one at a time, and dropped by the task.
  self_ = shared_from_this();
  if (loop_->InLoop()) {
    loop_->AssertInLoop();
    loop_->RunAtEndOfTurn(&flush_task_);
  } else {
    loop_->Post(&flush_task_);
  }
}

void ConnectionHandle::FlushTask::Run() {
  const std::shared_ptr<ConnectionHandle> keep = std::move(handle_->self_);
  handle_->FlushNow();
}

void ConnectionHandle::FlushTask::Cancel() { handle_->self_.reset(); }

}  // namespace weft::internal
