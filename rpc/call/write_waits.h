// How long, and how many at once, the handlers of a worker pool may wait for readers that do not
// read: a client that gives no credit holds a thread for each of its streams.
//
// Threads  any
// Owns     nothing; the count is the pool's, which several servers may share
// Errors   RESOURCE_EXHAUSTED, naming the setting
#ifndef WEFT_RPC_CALL_WRITE_WAITS_H_
#define WEFT_RPC_CALL_WRITE_WAITS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {

class WEFT_ANY_THREAD WriteWaits {
 public:
  // `most`: of one blocking write; zero: no limit. `setting`, `threads_setting`: their names, for
  // errors.
  WriteWaits(WorkerPool& pool, Nanos most, std::string setting, std::string threads_setting)
      : pool_(pool),
        most_(most > Nanos::zero() ? most : Nanos::max()),
        setting_(std::move(setting)),
        threads_setting_(std::move(threads_setting)) {}

  // The waiting of one thread.
  class Wait {
   public:
    explicit Wait(const WriteWaits& waits) : waits_(waits) {}
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // Before each sleep; an error: too many threads of the pool wait already.
    absl::Status Begin();

   private:
    const WriteWaits& waits_;
    bool counted_ = false;
  };

  Nanos most() const { return most_; }
  // Returns the error of a write that has waited for so long.
  absl::Status TooLong() const;

 private:
  WorkerPool& pool_;  // is there while one of its threads is
  const Nanos most_;
  const std::string setting_, threads_setting_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_WRITE_WAITS_H_
