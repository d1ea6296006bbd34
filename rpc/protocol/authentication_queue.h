// The connections and calls that wait for one authenticator, and the threads that run it.
//
//   Ask ──► waiting ──► running ──► verdict          all loops of its server or channel share it
//      │       └──Drop: gone, without a verdict
//      └─ all places to wait are taken: the verdict is a refusal, at once
//
// The threads are the authenticator's own: however many connections come, the calls of others are
// served, and a slow authenticator holds up only those who ask. The places to wait are those of the
// whole server: it may have several queues, one for each listener with an authenticator of its own.
//
// Threads  any: Ask, Drop, WhenIdle, counts, InPool. The authenticator runs on the queue's threads.
//          A verdict runs there, or inside Ask
// Owns     its threads, and what waits; shares its places
// Errors   Create: a Status when no thread can be started. The verdict of an authenticator that
//          throws is INTERNAL, and logged; of one too many, UNAVAILABLE
// Ends     each Ask has one verdict, or was dropped; the destructor, on no thread of its own, waits
//          for those that run
#ifndef WEFT_RPC_PROTOCOL_AUTHENTICATION_QUEUE_H_
#define WEFT_RPC_PROTOCOL_AUTHENTICATION_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "weft/core/clock.h"
#include "weft/core/log.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/protocol/authentication_places.h"
#include "weft/rpc/protocol/authenticator.h"
#include "weft/rpc/protocol/session_host.h"

namespace weft {

class ANY_THREAD AuthenticationQueue {
 public:
  using Verdict = SessionHost::Verdict;
  struct Options {
    int threads = 2;  // at least 1
    // For those that do not run yet; not null.
    std::shared_ptr<AuthenticationPlaces> places;
    std::string side = "server";  // in log lines
  };
  struct Counts {
    size_t waiting = 0;
    size_t running = 0;
  };

  static absl::StatusOr<std::unique_ptr<AuthenticationQueue>> Create(Authenticator authenticator,
                                                                     const Options& options,
                                                                     const Log& log,
                                                                     const Clock& clock);
  AuthenticationQueue(const AuthenticationQueue&) = delete;
  AuthenticationQueue& operator=(const AuthenticationQueue&) = delete;

  // Who is it? The number is for Drop.
  uint64_t Ask(const AuthenticationRequest& asks, Verdict verdict) WEFT_EXCLUDES(mu_);
  // The connection or call has gone: where it still waits, the authenticator is not asked, and
  // there is no verdict. One that is running, or was never asked, is left alone.
  void Drop(uint64_t number) WEFT_EXCLUDES(mu_);

  Counts counts() const WEFT_EXCLUDES(mu_);
  // `idle` runs once none waits and no authenticator runs: now, or later on a thread of the queue.
  void WhenIdle(std::function<void()> idle) WEFT_EXCLUDES(mu_);
  bool InPool() const { return pool_->InPool(); }

 private:
  // An AuthenticationRequest's own copy.
  struct Question {
    std::string token;
    std::string peer;
    Verdict verdict;
    TransportIdentity transport;
    std::string scheme;
    std::string method;
    std::string connection;

    std::string What() const;
  };

  AuthenticationQueue(Authenticator authenticator, const Options& options, const Log& log,
                      const Clock& clock, std::unique_ptr<WorkerPool> pool);
  // This one, then those that wait, until there are none.
  void Run(Question first) WEFT_EXCLUDES(mu_);
  void Answer(Question question);
  void LogLine(LogLevel level, std::string_view line);

  // Fixed at construction.
  const Authenticator authenticator_;
  const size_t threads_;
  const std::shared_ptr<AuthenticationPlaces> places_;
  const std::string side_;
  const Log log_;
  const Clock& clock_;
  LogLimiter limiter_{10};

  mutable Mutex mu_;
  std::map<uint64_t, Question> waiting_ WEFT_GUARDED_BY(mu_);  // the oldest first
  uint64_t last_ WEFT_GUARDED_BY(mu_) = 0;
  size_t running_ WEFT_GUARDED_BY(mu_) = 0;  // at most threads_; 0: none waits either
  std::vector<std::function<void()>> when_idle_ WEFT_GUARDED_BY(mu_);

  const std::unique_ptr<WorkerPool> pool_;  // the first to go: its threads use the rest
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_AUTHENTICATION_QUEUE_H_
