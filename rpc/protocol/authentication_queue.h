// The connections and calls that wait for one authenticator, and the threads that run it.
//
//   Ask ──► waiting ──► running ──► verdict          all loops of its server or channel share it
//      │       └──Drop: gone, without a verdict
//      └─ all places to wait are taken: the verdict is a refusal, at once
//
// The authenticator has threads of its own, so it delays neither the loops nor the handlers; a slow
// one holds up only those who ask. The places to wait belong to the whole server, which may have
// several queues: one for each listener with its own authenticator.
//
// Threads  any: Ask, Drop, WhenIdle, counts, InPool. The authenticator runs on the queue's threads.
//          A verdict runs there, or inside Ask
// Owns     its threads, and what waits; shares its places
// Errors   Create: a Status when no thread can be started. Verdict: INTERNAL, and a log line, if
//          the authenticator throws; UNAVAILABLE if all places are taken
// Ends     each Ask gets one verdict or is dropped. The destructor waits for running
//          authenticators; not on a thread of its own
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
#include "weft/core/step_set.h"
#include "weft/core/thread_contract.h"
#include "weft/core/worker_pool.h"
#include "weft/rpc/protocol/authentication_places.h"
#include "weft/rpc/protocol/authenticator.h"
#include "weft/rpc/protocol/session_host.h"

namespace weft::internal {

class WEFT_ANY_THREAD AuthenticationQueue {
 public:
  using Verdict = SessionHost::Verdict;
  struct Options {
    int threads = 2;  // at least 1
    // Places for questions that do not run yet; not null.
    std::shared_ptr<AuthenticationPlaces> places;
    std::string side = "server";  // in log lines
    // Runs the authenticator in place of threads (RuntimeOptions::steps).
    std::shared_ptr<StepSet> steps = nullptr;
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

  // Asks who the peer is. Returns a number for Drop.
  uint64_t Ask(const AuthenticationRequest& asks, Verdict verdict) WEFT_EXCLUDES(mu_);
  // The connection or call has gone. A waiting question is removed and gets no verdict. A running
  // or unknown question is left alone.
  void Drop(uint64_t number) WEFT_EXCLUDES(mu_);

  Counts counts() const WEFT_EXCLUDES(mu_);
  // Runs `idle` once nothing waits or runs: now, or later on a thread of the queue.
  void WhenIdle(std::function<void()> idle) WEFT_EXCLUDES(mu_);
  bool InPool() const { return pool_->InPool(); }

 private:
  // A copy of an AuthenticationRequest that owns its bytes.
  struct Question {
    std::string token;
    std::string peer;
    Verdict verdict;
    TransportIdentity transport;
    std::string scheme;
    std::string method;
    std::string connection;

    // For the log: "call M: `cause` (from A)"; of a connection without the call.
    std::string Line(std::string_view cause) const;
  };

  AuthenticationQueue(Authenticator authenticator, const Options& options, const Log& log,
                      const Clock& clock, std::unique_ptr<WorkerPool> pool);
  // Answers `first`, then waiting questions, until there are none.
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
  // Lines a second. Anybody may cause such lines, so their number must not be the peers' choice.
  LogLimiter limiter_{10};

  mutable Mutex mu_;
  std::map<uint64_t, Question> waiting_ WEFT_GUARDED_BY(mu_);  // the oldest first
  uint64_t last_ WEFT_GUARDED_BY(mu_) = 0;
  size_t running_ WEFT_GUARDED_BY(mu_) = 0;  // at most threads_; 0: none waits either
  std::vector<std::function<void()>> when_idle_ WEFT_GUARDED_BY(mu_);

  const std::unique_ptr<WorkerPool> pool_;  // destroyed first: its threads use the members above
};

}  // namespace weft::internal

#endif  // WEFT_RPC_PROTOCOL_AUTHENTICATION_QUEUE_H_
