// What happened to each call of a run, seen from both ends, and whether that may be.
//
//   client: started ──► ended (code, may it have been executed, does the reply match)   by key
//   server: executed, at the handler's first line                                       by key
//
// The rules: each call ends exactly once; OK means executed; "not executed" means never, not even
// later; a reply is the one to its request; what may not run twice runs at most once; each error is
// one that the call's plan or its world accounts for.
//
// Threads  any; Check when nothing happens any more
#ifndef WEFT_TESTS_HISTORY_CALL_HISTORY_H_
#define WEFT_TESTS_HISTORY_CALL_HISTORY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace weft::test {

// How a call ended, as its caller saw it.
struct CallEnding {
  absl::StatusCode code = absl::StatusCode::kOk;
  bool may_have_been_executed = true;
  bool matches = true;  // what came back, a reply or a handler's error, is the one to this request
  std::string unexplained = "";  // a status that nothing in this call's plan or world accounts for
};

// Who is told what happens.
class HistorySink {
 public:
  virtual ~HistorySink() = default;
  virtual void OnStarted(size_t key, std::string what, bool may_run_twice) = 0;
  virtual void OnExecuted(size_t key) = 0;
  virtual void OnEnded(size_t key, const CallEnding& ending) = 0;
};

class CallHistory final : public HistorySink {
 public:
  explicit CallHistory(size_t calls);
  ~CallHistory() override;

  void OnStarted(size_t key, std::string what, bool may_run_twice) override;
  void OnExecuted(size_t key) override;
  void OnEnded(size_t key, const CallEnding& ending) override;

  bool executed(size_t key) const;
  // A line for each broken rule.
  std::vector<std::string> Check() const;
  // How many calls ended with each code, and how many were not executed: for people.
  std::string Summary() const;

 private:
  struct Record;
  const size_t calls_;
  const std::unique_ptr<Record[]> records_;
  std::atomic<size_t> unknown_{0};  // keys that no call has
};

// Hands on to a history what happens, but for what it falsifies in about one call of a hundred: so
// that the checker can be seen to notice.
class FalsifiedHistory final : public HistorySink {
 public:
  enum class Plant : uint8_t { kDoubleReply, kLostEnd, kExecutedNotSent };

  FalsifiedHistory(CallHistory& history, Plant plant) : history_(history), plant_(plant) {}
  void OnStarted(size_t key, std::string what, bool may_run_twice) override;
  void OnExecuted(size_t key) override { history_.OnExecuted(key); }
  void OnEnded(size_t key, const CallEnding& ending) override;

 private:
  CallHistory& history_;
  const Plant plant_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_HISTORY_H_
