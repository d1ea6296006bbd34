#include "tests/history/call_history.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::test {

struct CallHistory::Record {
  std::string what;
  bool may_run_twice = false;
  std::atomic<bool> started{false};
  std::atomic<int> executions{0};
  std::atomic<int> endings{0};
  CallEnding ending;  // the first
};

CallHistory::CallHistory(size_t calls)
    : calls_(calls), records_(std::make_unique<Record[]>(calls)) {}

CallHistory::~CallHistory() = default;

void CallHistory::OnStarted(size_t key, std::string what, bool may_run_twice) {
  Record& record = records_[key];
  record.what = std::move(what);
  record.may_run_twice = may_run_twice;
  record.started.store(true, std::memory_order_release);
}

void CallHistory::OnExecuted(size_t key) {
  if (key >= calls_ || !records_[key].started.load(std::memory_order_acquire)) {
    unknown_.fetch_add(1);
    return;
  }
  records_[key].executions.fetch_add(1);
}

void CallHistory::OnEnded(size_t key, const CallEnding& ending) {
  Record& record = records_[key];
  if (record.endings.fetch_add(1) == 0) record.ending = ending;
}

bool CallHistory::executed(size_t key) const { return records_[key].executions.load() > 0; }

std::vector<std::string> CallHistory::Check() const {
  std::vector<std::string> violations;
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    const auto broken = [&](const std::string& rule) {
      violations.push_back(
          absl::StrCat("call ", key, " (", record.what, ") ", rule, "; endings ",
                       record.endings.load(), ", executions ", record.executions.load(),
                       ", first ending ", absl::StatusCodeToString(record.ending.code),
                       record.ending.may_have_been_executed ? "" : ", not executed"));
    };
    if (!record.started.load(std::memory_order_acquire)) continue;
    const int executions = record.executions.load();
    if (record.endings.load() == 0) {
      broken("never ended");
      continue;
    }
    if (record.endings.load() > 1) broken("ended more than once");
    if (record.ending.code == absl::StatusCode::kOk && executions == 0) {
      broken("ended with OK and was not executed");
    }
    if (!record.ending.may_have_been_executed && executions > 0) {
      broken("was certainly not executed, and was");
    }
    if (!record.ending.matches) broken("was answered with what belongs to another request");
    if (!record.ending.unexplained.empty()) {
      broken(absl::StrCat("ended for no reason: ", record.ending.unexplained));
    }
    if (executions > 1 && !record.may_run_twice) broken("was executed more than once");
  }
  if (unknown_.load() > 0) {
    violations.push_back(absl::StrCat(unknown_.load(), " executions of calls that nobody made"));
  }
  return violations;
}

std::string CallHistory::Summary() const {
  std::map<std::string, int> codes;
  int never = 0, refused = 0, repeated = 0;
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    if (record.endings.load() == 0) continue;
    ++codes[absl::StatusCodeToString(record.ending.code)];
    never += record.executions.load() == 0 ? 1 : 0;
    repeated += record.executions.load() > 1 ? 1 : 0;
    refused += record.ending.may_have_been_executed ? 0 : 1;
  }
  std::string text;
  for (const auto& [code, count] : codes) absl::StrAppend(&text, code, " ", count, ", ");
  absl::StrAppend(&text, "never executed ", never, ", of which certainly ", refused,
                  ", more than once ", repeated);
  return text;
}

void FalsifiedHistory::OnStarted(size_t key, std::string what, bool may_run_twice) {
  history_.OnStarted(key, std::move(what), may_run_twice);
}

void FalsifiedHistory::OnEnded(size_t key, const CallEnding& ending) {
  CallEnding told = ending;
  if (key % 97 == 0) {
    switch (plant_) {
      case Plant::kDoubleReply:
        history_.OnEnded(key, ending);
        break;
      case Plant::kLostEnd:
        return;
      case Plant::kExecutedNotSent:
        if (history_.executed(key)) told = {absl::StatusCode::kUnavailable, false, true, ""};
        break;
    }
  }
  history_.OnEnded(key, told);
}

}  // namespace weft::test
