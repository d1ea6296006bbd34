// How often each call of a history was executed, in a file that several processes map: what one has
// counted stands, however it ends.
//
//   byte[key]: executions, up to 255
//
// Threads  any, in any process that has it open
// Owns     its mapping; the file stays
// Errors   Open: UNAVAILABLE that names the path and errno
#ifndef WEFT_TESTS_HISTORY_LEDGER_H_
#define WEFT_TESTS_HISTORY_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/history/call_history.h"

namespace weft::test {

class Ledger {
 public:
  // Makes the file where there is none.
  static absl::StatusOr<std::unique_ptr<Ledger>> Open(const std::string& path, size_t keys);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  size_t keys() const { return keys_; }
  void Count(size_t key) {
    if (key < keys_) executions_[key].fetch_add(1);
  }
  int executions(size_t key) const { return key < keys_ ? executions_[key].load() : 0; }
  // Overwrites a count: for plants.
  void Falsify(size_t key, uint8_t executions) { executions_[key].store(executions); }

 private:
  Ledger(std::atomic<uint8_t>* executions, size_t keys) : executions_(executions), keys_(keys) {}

  std::atomic<uint8_t>* const executions_;
  const size_t keys_;
};

// The part of a history that a server process tells: executions alone.
class LedgerSink final : public HistorySink {
 public:
  explicit LedgerSink(Ledger& ledger) : ledger_(ledger) {}
  void OnStarted(size_t, CallStart) override {}
  void OnExecuted(size_t key, CallStyle) override { ledger_.Count(key); }
  void OnServed(size_t, const StreamTally&, absl::StatusCode) override {}
  void OnEnded(size_t, const CallEnding&) override {}

 private:
  Ledger& ledger_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_LEDGER_H_
