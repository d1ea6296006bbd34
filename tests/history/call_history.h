// Records what happened to each call of a run, as both ends saw it, and checks it by rules.
//
//   client: started ──► ended (code, may it have been executed, does the reply match)   by key
//   server: executed, at the handler's first line ──► served, at a stream handler's end  by key
//
// The rules: each call ends exactly once; OK means executed; "not executed" means never, not even
// later; a reply is the one to its request; calls that may not run twice run at most once; each
// error is one that the call's plan or its world accounts for. Of streams: each side gets the
// messages that the other has sent, from the first on, in order, without a gap and without one
// twice; all of them when the call has ended with OK and both have read to the end; a handler that
// was begun comes to its end, and with OK when the call has.
//
// A long run has to meet every kind of call with every style of handler; Unmet says which it has
// not.
//
// Threads  any; Check when nothing happens any more
#ifndef WEFT_TESTS_HISTORY_CALL_HISTORY_H_
#define WEFT_TESTS_HISTORY_CALL_HISTORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/history/call_kind.h"

namespace weft::test {

// The record of one side of a stream.
struct StreamTally {
  int64_t sent = 0;
  int64_t received = 0;
  bool whole = false;    // it has read until there was nothing more
  bool in_order = true;  // each message was the one that was to come next
};

// How a call ended, as its caller saw it.
struct CallEnding {
  absl::StatusCode code = absl::StatusCode::kOk;
  bool may_have_been_executed = true;
  bool matches = true;  // what came back, a reply or a handler's error, is the one to this request
  std::string unexplained = "";  // a status that nothing in this call's plan or world accounts for
  std::optional<StreamTally> stream = std::nullopt;
};

struct CallStart {
  std::string what;  // for people
  CallKind kind;
  bool may_run_twice = false;
};

// The interface that is told of each step of a call.
class HistorySink {
 public:
  virtual ~HistorySink() = default;
  virtual void OnStarted(size_t key, CallStart start) = 0;
  // `style`: the handler's.
  virtual void OnExecuted(size_t key, CallStyle style) = 0;
  // A stream's handler returns `code`.
  virtual void OnServed(size_t key, const StreamTally& tally, absl::StatusCode code) = 0;
  virtual void OnEnded(size_t key, const CallEnding& ending) = 0;
};

class Ledger;

class CallHistory final : public HistorySink {
 public:
  // With a ledger, executions are those that stand there: their servers are other processes, and
  // what a stream's handler has seen is not known.
  explicit CallHistory(size_t calls, const Ledger* ledger = nullptr);
  ~CallHistory() override;

  void OnStarted(size_t key, CallStart start) override;
  void OnExecuted(size_t key, CallStyle style) override;
  void OnServed(size_t key, const StreamTally& tally, absl::StatusCode code) override;
  void OnEnded(size_t key, const CallEnding& ending) override;

  bool executed(size_t key) const { return ExecutionsOf(key) > 0; }
  // Calls that have ended; rises while things go on.
  uint64_t ended() const { return ended_.load(); }
  // A line for each call that has begun and not ended: how far it has come, and since when.
  std::vector<std::string> Unended() const;
  // A line for each broken rule.
  std::vector<std::string> Check() const;
  // A line for each kind of call and style of handler of which no call has ended with OK.
  std::vector<std::string> Unmet() const;
  // How many calls ended with each code, and how many were not executed: for people.
  std::string Summary() const;

 private:
  struct Record;
  std::vector<std::string> BrokenRules(size_t key) const;
  static std::vector<std::string> BrokenStreamRules(const Record& record);
  int ExecutionsOf(size_t key) const;
  const size_t calls_;
  const Ledger* const ledger_;
  const std::unique_ptr<Record[]> records_;
  std::atomic<size_t> unknown_{0};  // keys that no call has
  std::atomic<uint64_t> ended_{0};
};

// Hands on to a history what happens, but for what it falsifies in about one call of a hundred: so
// that the checker can be seen to notice.
class FalsifiedHistory final : public HistorySink {
 public:
  // The last two falsify a ledger, not what a history is told: see PlantInLedger.
  enum class Plant : uint8_t {
    kDoubleReply,
    kLostEnd,
    kExecutedNotSent,
    kLostMessage,
    kExecutedTwice,
    kLostExecution,
  };

  FalsifiedHistory(CallHistory& history, Plant plant) : history_(history), plant_(plant) {}
  void OnStarted(size_t key, CallStart start) override;
  void OnExecuted(size_t key, CallStyle style) override { history_.OnExecuted(key, style); }
  void OnServed(size_t key, const StreamTally& tally, absl::StatusCode code) override;
  void OnEnded(size_t key, const CallEnding& ending) override;

 private:
  CallHistory& history_;
  const Plant plant_;
};

// kExecutedTwice and kLostExecution, in about one call of a hundred; others do nothing here.
void PlantInLedger(FalsifiedHistory::Plant plant, Ledger& ledger);

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_HISTORY_H_
