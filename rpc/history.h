// Records calls as their callers and their servers saw them, and checks whether that history is
// possible.
//
//   const auto id = history.Began({.kind = History::Kind::kWrite, .key = "k", .value = "7"});
//   history.Executed(id, "b");                   // the first line of the handler, on node b
//   history.Ended(id, History::Outcome::kOk);    // the caller
//   for (const std::string& broken : history.Check()) …
//
// The rules:
//   each call ended once; one whose caller died need not have ended
//   OK means executed before that, a broadcast's OK on as many nodes as it needs
//   "not executed" means never, before its end or after; of one node, never on that node
//   what may be sent once is executed once at most; a broadcast, once on each node
//   what has an order is executed in the order in which it began
//   an acknowledged write can be read in the end: a final read finds it, or a write that was not
//   over before it began
//   what was written and read, key by key, could have happened one after the other, the final reads
//   behind all: each operation at one moment between its beginning and its end, those without a
//   known end later or never, and a write that nobody executed never
//
// Check takes time and memory in proportion to what was told, but for the last rule: that grows
// with two to the power of how many operations are at once on one key (rpc/mesh/register_check.h).
// Where that is too much, Check reports it like a broken rule. So use few callers at once on one
// key, and many keys.
//
// Threads  any
// Owns     what it was told
#ifndef WEFT_RPC_HISTORY_H_
#define WEFT_RPC_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"

namespace weft {

class WEFT_ANY_THREAD History {
 public:
  using Id = uint64_t;
  enum class Kind : uint8_t { kCall, kWrite, kRead, kBroadcast };
  // Says how often a call may be executed.
  enum class Sent : uint8_t {
    kAgain,   // as often as it is sent: it is idempotent
    kOnce,    // once at most
    kToEach,  // once at most on each node: a broadcast, as every kBroadcast is
  };
  enum class Outcome : uint8_t {
    kOk,
    kNotExecuted,  // failed, and certainly not executed
    kUnknown,      // failed, and may have been executed, or may yet be
  };
  struct Operation {
    Kind kind = Kind::kCall;
    std::string key = {};    // of kWrite and kRead
    std::string value = {};  // the value that a kWrite writes
    std::string what = {};   // for people
    Sent sent = Sent::kAgain;
    // OK means executed on so many nodes.
    int needed = 1;
    // Operations with the same text here are executed on each node in the order in which they
    // began. Empty: in any order.
    std::string in_order = {};
    // Executions are told by Executed. False: they are not, and rules about them do not hold.
    bool executions_told = true;
  };

  Id Began(Operation operation) WEFT_EXCLUDES(mu_);
  // A handler was entered for it, on that node.
  void Executed(Id id, const std::string& node) WEFT_EXCLUDES(mu_);
  // `found`: of a kRead that is OK; none: nothing had been written.
  void Ended(Id id, Outcome outcome, std::optional<std::string> found = std::nullopt)
      WEFT_EXCLUDES(mu_);
  // One node's part of a broadcast ended so, as the caller was told. Nothing is checked for nodes
  // of which nothing is told.
  void EndedAt(Id id, const std::string& node, Outcome outcome) WEFT_EXCLUDES(mu_);
  // Its caller died: no end will come, and it may have been executed.
  void CallerDied(Id id) WEFT_EXCLUDES(mu_);
  // Tells the value that a node has under a key when everything is over; none: no value.
  void FinallyRead(const std::string& node, const std::string& key,
                   std::optional<std::string> found) WEFT_EXCLUDES(mu_);

  // Returns a line for each broken rule. Call it when nothing happens any more.
  std::vector<std::string> Check() const WEFT_EXCLUDES(mu_);
  // OK, or the broken rules, a line each.
  absl::Status CheckStatus() const;
  size_t size() const WEFT_EXCLUDES(mu_);
  // Counts the calls by outcome, as text for people.
  std::string Summary() const WEFT_EXCLUDES(mu_);

  // Returns the outcome that the end of a call says.
  static Outcome OutcomeOf(const absl::Status& status, bool may_have_been_executed) {
    if (status.ok()) return Outcome::kOk;
    return may_have_been_executed ? Outcome::kUnknown : Outcome::kNotExecuted;
  }

 private:
  // One node's part in a call: its executions, and the outcome that was told for it.
  struct Part {
    int times = 0;       // executed
    uint64_t first = 0;  // moment of the first time
    Outcome said = Outcome::kUnknown;
    uint64_t said_at = 0;
  };
  struct Record {
    bool ok() const { return ends > 0 && outcome == Outcome::kOk; }
    bool not_executed() const { return ends > 0 && outcome == Outcome::kNotExecuted; }
    // Executions are told, and none was.
    bool never_executed() const { return operation.executions_told && executions == 0; }

    Operation operation;
    uint64_t began = 0;
    uint64_t ended = 0;  // 0: not yet
    int ends = 0;
    bool caller_died = false;
    Outcome outcome = Outcome::kUnknown;
    std::optional<std::string> found;
    int executions = 0;
    std::map<std::string, Part> parts;  // by node
  };
  struct FinalRead {
    std::string node;
    std::string key;
    std::optional<std::string> found;
  };

  std::string NameOf(Id id) const WEFT_REQUIRES(mu_);
  // Null: there is no such call; then a fault is noted, that `what` was told of it.
  Record* Find(Id id, const std::string& what) WEFT_REQUIRES(mu_);
  void CheckEnd(Id id, std::vector<std::string>* broken) const WEFT_REQUIRES(mu_);
  void CheckExecutions(Id id, std::vector<std::string>* broken) const WEFT_REQUIRES(mu_);
  void CheckOrders(std::vector<std::string>* broken) const WEFT_REQUIRES(mu_);
  // False: the read breaks a rule.
  bool CheckFinalRead(const FinalRead& read, std::vector<std::string>* broken) const
      WEFT_REQUIRES(mu_);
  void CheckRegisters(std::vector<std::string>* broken) const WEFT_REQUIRES(mu_);
  void CheckRegister(const std::string& key, const std::vector<Id>& ids, const FinalRead* last,
                     std::vector<std::string>* broken) const WEFT_REQUIRES(mu_);

  mutable internal::Mutex mu_;
  std::vector<Record> records_ WEFT_GUARDED_BY(mu_);  // by id
  std::vector<FinalRead> final_reads_ WEFT_GUARDED_BY(mu_);
  std::vector<std::string> strange_ WEFT_GUARDED_BY(mu_);  // ids that there are not
  uint64_t moment_ WEFT_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_RPC_HISTORY_H_
