// Makes calls of all kinds, as they are drawn, and tells a history how each one ended.
//
// Threads  Caller: Make and WaitForAll on one; calls end on any. Canceller, LiveCalls: any
// Owns     the calls that are under way
#ifndef WEFT_TESTS_HISTORY_CALLER_H_
#define WEFT_TESTS_HISTORY_CALLER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <stop_token>
#include <thread>

#include "tests/history/call_history.h"
#include "tests/history/call_plan.h"
#include "tests/history/call_world.h"
#include "tests/history/stream_caller.h"
#include "tests/protos/echo.weft.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"

namespace weft::test {

// One call, and all that has to outlive it.
struct HistoryCall {
  size_t key;
  CallPlan plan;
  EchoRequest request;
  ClientContext context;
  std::stop_source stop;

  void Cancel() {
    plan.fate == CallPlan::Fate::kStopped ? (void)stop.request_stop() : context.Cancel();
  }
};
using CallRef = std::shared_ptr<HistoryCall>;

// The calls that have not ended, for when they hang.
class LiveCalls {
 public:
  void Add(const CallRef& call);
  void Remove(size_t key);
  // Cancels all there are. From then on the end of each is printed, with its status: its text says
  // in which phase the call was.
  void CancelAll();

 private:
  friend class Caller;
  bool cancelled() const { return cancelled_.load(); }

  std::mutex mu_;
  std::map<size_t, std::weak_ptr<HistoryCall>> calls_;  // under mu_
  std::atomic<bool> cancelled_{false};
};

// Cancels calls a little later, on a thread of its own: what it is given, in turn.
class Canceller {
 public:
  Canceller() : thread_([this] { Work(); }) {}
  ~Canceller();
  void Add(CallRef call) {
    queue_.Update([&](Queue& q) { q.calls.push_back(std::move(call)); });
  }

 private:
  struct Queue {
    std::deque<CallRef> calls;
    bool stop = false;
  };
  void Work();

  Watched<Queue> queue_;
  std::thread thread_;
};

// Makes its share of the calls, one after the other.
class Caller {
 public:
  // `first_back`: the key of the first call's call back; 0: handlers make none.
  Caller(CallWorld& world, HistorySink& history, Canceller& canceller, LiveCalls& live,
         int64_t first_back)
      : world_(world),
        history_(history),
        canceller_(canceller),
        live_(live),
        first_back_(first_back) {}

  void Make(size_t key, uint64_t* random);
  void WaitForAll();

 private:
  CallRef Draw(size_t key, uint64_t* random) const;
  static CallOptions OptionsOf(HistoryCall& call);
  static absl::StatusOr<EchoReply> Block(EchoService::Stub& stub, HistoryCall& call);
  void Begin(EchoService::Stub& stub, const CallRef& call);
  Coro<int> Await(EchoService::Stub stub, CallRef call);
  StreamCaller::Wishes StreamOf(const HistoryCall& call) const;
  void Begin(StreamCaller& stream, const CallRef& call);

  static bool Explained(const CallPlan& plan, absl::StatusCode code);
  template <typename Result>
  void EndedLater(const HistoryCall& call, const Result& result) {
    Ended(call, result);
    under_way_.Update([](int& n) { --n; });
  }
  void Ended(const HistoryCall& call, const absl::StatusOr<EchoReply>& result);
  void Ended(const HistoryCall& call, const StreamOutcome& outcome);
  CallEnding EndingOf(const HistoryCall& call, const absl::Status& status) const;
  void Tell(const HistoryCall& call, const CallEnding& ending);

  CallWorld& world_;
  HistorySink& history_;
  Canceller& canceller_;
  LiveCalls& live_;
  const int64_t first_back_;
  Watched<int> under_way_{0};
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALLER_H_
