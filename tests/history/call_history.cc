#include "tests/history/call_history.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/history/ledger.h"

namespace weft::test {

struct CallHistory::Record {
  CallStart start;
  absl::Time started_at;
  std::atomic<bool> started{false};
  std::atomic<int> executions{0};
  std::atomic<CallStyle> handler{};  // of the last execution; a call has one server
  std::atomic<int> endings{0};
  CallEnding ending;  // the first
  std::atomic<int> servings{0};
  StreamTally served;  // the first
  absl::StatusCode served_code = absl::StatusCode::kOk;
};

CallHistory::CallHistory(size_t calls, const Ledger* ledger)
    : calls_(calls), ledger_(ledger), records_(std::make_unique<Record[]>(calls)) {}

CallHistory::~CallHistory() = default;

void CallHistory::OnStarted(size_t key, CallStart start) {
  Record& record = records_[key];
  record.start = std::move(start);
  record.started_at = absl::Now();
  record.started.store(true, std::memory_order_release);
}

void CallHistory::OnExecuted(size_t key, CallStyle style) {
  if (key >= calls_ || !records_[key].started.load(std::memory_order_acquire)) {
    unknown_.fetch_add(1);
    return;
  }
  records_[key].handler.store(style);
  records_[key].executions.fetch_add(1);
}

void CallHistory::OnServed(size_t key, const StreamTally& tally, absl::StatusCode code) {
  if (key >= calls_) return;
  Record& record = records_[key];
  // Only the first counts here; that there were more is a broken rule of its own.
  if (record.servings.fetch_add(1) > 0) return;
  record.served = tally;
  record.served_code = code;
}

void CallHistory::OnEnded(size_t key, const CallEnding& ending) {
  Record& record = records_[key];
  if (record.endings.fetch_add(1) > 0) return;
  record.ending = ending;
  ended_.fetch_add(1);
}

int CallHistory::ExecutionsOf(size_t key) const {
  return ledger_ != nullptr ? ledger_->executions(key) : records_[key].executions.load();
}

std::vector<std::string> CallHistory::Unended() const {
  std::vector<std::string> lines;
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    if (!record.started.load(std::memory_order_acquire) || record.endings.load() > 0) continue;
    lines.push_back(absl::StrCat("call ", key, " (", record.start.what, ") has not ended for ",
                                 absl::FormatDuration(absl::Now() - record.started_at),
                                 "; executed ", ExecutionsOf(key), " times, its handler has ended ",
                                 record.servings.load(), " times"));
  }
  return lines;
}

std::vector<std::string> CallHistory::Check() const {
  std::vector<std::string> violations;
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    if (!record.started.load(std::memory_order_acquire)) continue;
    for (const std::string& rule : BrokenRules(key)) {
      violations.push_back(
          absl::StrCat("call ", key, " (", record.start.what, ") ", rule, "; endings ",
                       record.endings.load(), ", executions ", ExecutionsOf(key), ", first ending ",
                       absl::StatusCodeToString(record.ending.code),
                       record.ending.may_have_been_executed ? "" : ", not executed"));
    }
  }
  if (unknown_.load() > 0) {
    violations.push_back(absl::StrCat(unknown_.load(), " executions of calls that nobody made"));
  }
  return violations;
}

std::vector<std::string> CallHistory::BrokenRules(size_t key) const {
  const Record& record = records_[key];
  if (record.endings.load() == 0) return {"never ended"};
  std::vector<std::string> broken;
  // Stream handlers of other processes tell nothing of their side.
  if (ledger_ == nullptr) {
    broken = BrokenStreamRules(record);
  } else if (record.ending.stream.has_value() && !record.ending.stream->in_order) {
    broken.push_back("got a reply that was not the next");
  }
  const CallEnding& ending = record.ending;
  const int executions = ExecutionsOf(key);
  if (record.endings.load() > 1) broken.push_back("ended more than once");
  if (ending.code == absl::StatusCode::kOk && executions == 0) {
    broken.push_back("ended with OK and was not executed");
  }
  if (!ending.may_have_been_executed && executions > 0) {
    broken.push_back("was certainly not executed, and was");
  }
  if (!ending.matches) broken.push_back("was answered with what belongs to another request");
  if (!ending.unexplained.empty()) {
    broken.push_back(absl::StrCat("ended for no reason: ", ending.unexplained));
  }
  if (executions > 1 && !record.start.may_run_twice)
    broken.push_back("was executed more than once");
  return broken;
}

std::vector<std::string> CallHistory::BrokenStreamRules(const Record& record) {
  if (!record.ending.stream.has_value()) return {};
  std::vector<std::string> broken;
  const StreamTally& client = *record.ending.stream;
  const StreamTally& server = record.served;
  const bool ok = record.ending.code == absl::StatusCode::kOk;
  if (record.servings.load() != record.executions.load()) {
    broken.push_back("has a handler that did not come to its end");
  }
  if (!client.in_order) broken.push_back("got a reply that was not the next");
  if (!server.in_order) broken.push_back("its handler got a request that was not the next");
  const auto compare = [&](int64_t sent, int64_t received, bool all, const char* what) {
    if (received <= sent && (!all || received == sent)) return;
    broken.push_back(absl::StrCat("of ", sent, " ", what, " ", received, " were received"));
  };
  compare(client.sent, server.received, ok && server.whole, "requests");
  compare(server.sent, client.received, ok && client.whole, "replies");
  if (ok && record.served_code != absl::StatusCode::kOk) {
    broken.push_back(absl::StrCat("ended with OK, its handler with ",
                                  absl::StatusCodeToString(record.served_code)));
  }
  return broken;
}

std::vector<std::string> CallHistory::Unmet() const {
  bool met[kCallMethods][kCallStyles][kCallStyles] = {};
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    if (record.endings.load() == 0 || record.executions.load() == 0 ||
        record.ending.code != absl::StatusCode::kOk)
      continue;
    const CallKind& kind = record.start.kind;
    met[static_cast<size_t>(kind.method)][static_cast<size_t>(kind.style)]
       [static_cast<size_t>(record.handler.load())] = true;
  }
  std::vector<std::string> unmet;
  for (size_t i = 0; i < kAllKinds; ++i) {
    const size_t method = i / (kCallStyles * kCallStyles);
    const size_t style = i / kCallStyles % kCallStyles, handler = i % kCallStyles;
    if (met[method][style][handler]) continue;
    unmet.push_back(absl::StrCat("no call ended with OK: ", NameOf(CallStyle(style)), ", ",
                                 NameOf(CallMethod(method)), ", at a ", NameOf(CallStyle(handler)),
                                 " handler"));
  }
  return unmet;
}

std::string CallHistory::Summary() const {
  std::map<std::string, int> codes;
  int never = 0, refused = 0, repeated = 0, streams = 0;
  int64_t messages = 0;
  for (size_t key = 0; key < calls_; ++key) {
    const Record& record = records_[key];
    if (record.endings.load() == 0) continue;
    ++codes[absl::StatusCodeToString(record.ending.code)];
    never += ExecutionsOf(key) == 0 ? 1 : 0;
    repeated += ExecutionsOf(key) > 1 ? 1 : 0;
    refused += record.ending.may_have_been_executed ? 0 : 1;
    if (!record.ending.stream.has_value()) continue;
    ++streams;
    messages += record.ending.stream->received + record.served.received;
  }
  std::string text;
  for (const auto& [code, count] : codes) absl::StrAppend(&text, code, " ", count, ", ");
  absl::StrAppend(&text, "never executed ", never, ", of which certainly ", refused,
                  ", more than once ", repeated, "; ", streams, " streams with ", messages,
                  " messages");
  return text;
}

void FalsifiedHistory::OnStarted(size_t key, CallStart start) {
  history_.OnStarted(key, std::move(start));
}

void FalsifiedHistory::OnServed(size_t key, const StreamTally& tally, absl::StatusCode code) {
  StreamTally told = tally;
  if (plant_ == Plant::kLostMessage && key % 7 == 0 && told.received > 0) --told.received;
  history_.OnServed(key, told, code);
}

void FalsifiedHistory::OnEnded(size_t key, const CallEnding& ending) {
  CallEnding told = ending;
  // One in 97 is falsified, so that a check has to find single faults among correct calls.
  if (key % 97 == 0) {
    switch (plant_) {
      case Plant::kDoubleReply:
        history_.OnEnded(key, ending);
        break;
      case Plant::kLostEnd:
        return;
      case Plant::kExecutedNotSent:
        if (history_.executed(key)) told = {absl::StatusCode::kUnavailable, false};
        break;
      case Plant::kLostMessage:
      case Plant::kExecutedTwice:
      case Plant::kLostExecution:
        break;
    }
  }
  history_.OnEnded(key, told);
}

void PlantInLedger(FalsifiedHistory::Plant plant, Ledger& ledger) {
  using Plant = FalsifiedHistory::Plant;
  for (size_t key = 0; key < ledger.keys(); key += 97) {
    if (ledger.executions(key) == 0) continue;
    if (plant == Plant::kExecutedTwice) ledger.Falsify(key, 2);
    if (plant == Plant::kLostExecution) ledger.Falsify(key, 0);
  }
}

}  // namespace weft::test
