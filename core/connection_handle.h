// A connection's face for other threads: its output, and the way to its loop.
//
// Threads  any; connection() is the loop's own
// Owns     the output queue (and by it the socket), the account of its input; keeps its loop alive
// Ends     outlives its connection harmlessly: appends to a closed output are dropped
#ifndef WEFT_CORE_CONNECTION_HANDLE_H_
#define WEFT_CORE_CONNECTION_HANDLE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "weft/core/event_loop.h"
#include "weft/core/input_account.h"
#include "weft/core/loop_task.h"
#include "weft/core/output_queue.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class Connection;

class ConnectionHandle : public std::enable_shared_from_this<ConnectionHandle> {
 public:
  // `input`: what its input is counted against besides its loop's budget.
  ConnectionHandle(std::shared_ptr<EventLoop> loop, std::unique_ptr<Transport> transport,
                   std::string peer, InputBudgets input = {});
  virtual ~ConnectionHandle();
  ConnectionHandle(const ConnectionHandle&) = delete;
  ConnectionHandle& operator=(const ConnectionHandle&) = delete;

  EventLoop& loop() const { return *loop_; }
  const std::shared_ptr<EventLoop>& shared_loop() const { return loop_; }
  OutputQueue& output() { return output_; }
  const TransportIdentity& peer_identity() { return output_.transport().identity(); }
  InputAccount& input() { return input_; }
  // The other end's address, or a name where it has none.
  const std::string& peer() const { return peer_; }

  // For the thread that claimed the output. FlushNow writes on this thread (on the loop, if only
  // that may write). FlushOnLoop writes at the end of the loop's turn, together with all that is
  // appended until then.
  WEFT_ANY_THREAD void FlushNow();
  // The same, for a caller that has held the output's mutex since the claim. Releases it.
  WEFT_ANY_THREAD void FlushNow(MutexLock& held) WEFT_REQUIRES(output_.mutex());
  WEFT_ANY_THREAD void FlushOnLoop();

  // The live connection, nullptr when it has ended.
  Connection* connection() const WEFT_LOOP_ONLY { return connection_; }

 private:
  friend class Connection;
  class FlushTask final : public LoopTask {
   public:
    explicit FlushTask(ConnectionHandle* handle) : handle_(handle) {}
    void Run() override;
    void Cancel() override;

   private:
    ConnectionHandle* const handle_;
  };
  bool MayWriteHere() const { return any_thread_may_write_ || loop_->InLoop(); }
  void Report(OutputQueue::Flushed result);

  const std::shared_ptr<EventLoop> loop_;
  const std::string peer_;
  const bool any_thread_may_write_;
  OutputQueue output_;
  InputAccount input_;
  FlushTask flush_task_{this};
  std::shared_ptr<ConnectionHandle>
      self_;  // the claimer's: keeps this alive while flush_task_ is queued
  std::atomic<bool> tell_when_empty_{
      false};  // set before the mutex is taken that a flusher takes last
  Connection* connection_ WEFT_LOOP_OWNED = nullptr;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CONNECTION_HANDLE_H_
