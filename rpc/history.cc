#include "weft/rpc/history.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "weft/rpc/mesh/register_check.h"

namespace weft {

using namespace internal;

namespace {

std::string Quoted(const std::optional<std::string>& value) {
  return value.has_value() ? absl::StrCat("\"", *value, "\"") : "nothing";
}

}  // namespace

History::Id History::Began(Operation operation) {
  MutexLock lock(mu_);
  Record record;
  record.operation = std::move(operation);
  record.began = ++moment_;
  records_.push_back(std::move(record));
  return records_.size() - 1;
}

History::Record* History::Find(Id id, const std::string& what) {
  if (id < records_.size()) return &records_[id];
  strange_.push_back(absl::StrCat("call ", id, " ", what, ", and never began"));
  return nullptr;
}

void History::Executed(Id id, const std::string& node) {
  MutexLock lock(mu_);
  Record* const record = Find(id, absl::StrCat("was executed on ", node));
  if (record == nullptr) return;
  ++record->executions;
  Part& part = record->parts[node];
  ++moment_;
  if (++part.times == 1) part.first = moment_;
}

void History::Ended(Id id, Outcome outcome, std::optional<std::string> found) {
  MutexLock lock(mu_);
  Record* const record = Find(id, "has ended");
  if (record == nullptr || ++record->ends > 1)
    return;  // the first end counts; Check finds the others
  record->ended = ++moment_;
  record->outcome = outcome;
  record->found = std::move(found);
}

void History::EndedAt(Id id, const std::string& node, Outcome outcome) {
  MutexLock lock(mu_);
  Record* const record = Find(id, absl::StrCat("has ended on ", node));
  if (record == nullptr) return;
  Part& part = record->parts[node];
  part.said = outcome;
  part.said_at = ++moment_;
}

void History::CallerDied(Id id) {
  MutexLock lock(mu_);
  if (Record* const record = Find(id, "lost its caller")) record->caller_died = true;
}

void History::FinallyRead(const std::string& node, const std::string& key,
                          std::optional<std::string> found) {
  MutexLock lock(mu_);
  final_reads_.push_back({node, key, std::move(found)});
}

size_t History::size() const {
  MutexLock lock(mu_);
  return records_.size();
}

std::string History::Summary() const {
  MutexLock lock(mu_);
  size_t ok = 0, never = 0, unknown = 0, open = 0;
  for (const Record& record : records_) {
    if (record.ends == 0) {
      ++open;
    } else {
      ++(record.outcome == Outcome::kOk            ? ok
         : record.outcome == Outcome::kNotExecuted ? never
                                                   : unknown);
    }
  }
  return absl::StrCat(records_.size(), " calls: ", ok, " OK, ", never, " not executed, ", unknown,
                      " unknown, ", open, " without an end");
}

// ---- the rules

std::string History::NameOf(Id id) const {
  const Operation& operation = records_[id].operation;
  std::string name = absl::StrCat("call ", id);
  if (!operation.what.empty()) absl::StrAppend(&name, " (", operation.what, ")");
  if (operation.kind == Kind::kWrite) {
    absl::StrAppend(&name, " write ", operation.key, " = \"", operation.value, "\"");
  } else if (operation.kind == Kind::kRead) {
    absl::StrAppend(&name, " read ", operation.key);
  }
  return name;
}

void History::CheckEnd(Id id, std::vector<std::string>* broken) const {
  const Record& record = records_[id];
  if (record.ends > 1) {
    broken->push_back(absl::StrCat(NameOf(id), " ended ", record.ends, " times"));
  } else if (record.ends == 0 && !record.caller_died) {
    broken->push_back(absl::StrCat(NameOf(id), " has not ended"));
  }
  if (record.operation.executions_told) CheckExecutions(id, broken);
}

void History::CheckExecutions(Id id, std::vector<std::string>* broken) const {
  const Record& record = records_[id];
  const Operation& operation = record.operation;
  const bool to_each = operation.kind == Kind::kBroadcast || operation.sent == Sent::kToEach;
  int before_end = 0;
  for (const auto& [node, part] : record.parts) {
    if (part.times > 0 && part.first < record.ended) ++before_end;
    if (part.times > 0 &&
        (record.not_executed() || (part.said_at > 0 && part.said == Outcome::kNotExecuted))) {
      broken->push_back(
          absl::StrCat(NameOf(id), " was not executed, its end said, but it was, on ", node));
    }
    if (part.said_at > 0 && part.said == Outcome::kOk &&
        (part.times == 0 || part.first > part.said_at)) {
      broken->push_back(
          absl::StrCat(NameOf(id), " was answered by ", node, ", which had not executed it"));
    }
    if (to_each && part.times > 1) {
      broken->push_back(absl::StrCat(NameOf(id), " reached ", node, " ", part.times, " times"));
    }
  }
  if (record.ok() && before_end == 0 && operation.needed > 0) {
    broken->push_back(absl::StrCat(NameOf(id), " ended with OK, and was not executed",
                                   record.executions > 0 ? " by then" : ""));
  } else if (record.ok() && before_end < operation.needed) {
    broken->push_back(absl::StrCat(NameOf(id), " ended with OK, and was executed on ", before_end,
                                   " nodes by then, not on ", operation.needed));
  }
  if (!to_each && operation.sent == Sent::kOnce && record.executions > 1) {
    broken->push_back(absl::StrCat(NameOf(id), " was executed ", record.executions, " times"));
  }
}

void History::CheckOrders(std::vector<std::string>* broken) const {
  // Ids rise as calls begin, so each call needs comparing only with the one before it on that node.
  std::map<std::pair<std::string, std::string>, Id> last;  // by order and node
  for (Id id = 0; id < records_.size(); ++id) {
    const std::string& order = records_[id].operation.in_order;
    if (order.empty()) continue;
    for (const auto& [node, part] : records_[id].parts) {
      if (part.times == 0) continue;
      const auto [it, first] = last.try_emplace({order, node}, id);
      if (first) continue;
      const Id before = std::exchange(it->second, id);
      if (records_[before].parts.at(node).first < part.first) continue;
      broken->push_back(absl::StrCat(NameOf(id), " was executed on ", node, " before ",
                                     NameOf(before), ", which began before it"));
    }
  }
}

// A final read breaks the rule when its value was certainly overwritten: the write of that value
// was over before an acknowledged other write began. Without a known end a write may come at any
// time.
bool History::CheckFinalRead(const FinalRead& read, std::vector<std::string>* broken) const {
  const auto writes = [&](const Record& record) {
    return record.operation.kind == Kind::kWrite && record.operation.key == read.key;
  };
  uint64_t found_until = 0;  // the latest moment at which the found value may have been written
  bool known = !read.found.has_value();
  for (const Record& record : records_) {
    if (!read.found.has_value() || !writes(record) || record.operation.value != *read.found ||
        record.not_executed() || record.never_executed()) {
      continue;
    }
    known = true;
    found_until = std::max(found_until, record.ok() ? record.ended : RegisterCheck::kNoEnd);
  }
  if (!known) {
    broken->push_back(absl::StrCat("node ", read.node, " has ", read.key, " = ", Quoted(read.found),
                                   ", which nobody wrote"));
    return false;
  }
  for (Id id = 0; id < records_.size(); ++id) {
    const Record& record = records_[id];
    if (!writes(record) || !record.ok() || record.began < found_until) continue;
    broken->push_back(absl::StrCat(NameOf(id), " was acknowledged, and node ", read.node, " has ",
                                   Quoted(read.found), " in the end"));
    return false;
  }
  return true;
}

void History::CheckRegister(const std::string& key, const std::vector<Id>& ids,
                            const FinalRead* last, std::vector<std::string>* broken) const {
  std::vector<RegisterCheck::Operation> operations;
  for (const Id id : ids) {
    const Record& record = records_[id];
    RegisterCheck::Operation& operation = operations.emplace_back();
    operation.is_write = record.operation.kind == Kind::kWrite;
    if (operation.is_write) {
      operation.value = record.operation.value;
    } else {
      operation.value = record.found;
    }
    operation.began = record.began;
    // A call without a known end may take effect later or never, so its interval stays open.
    if (record.ok()) operation.ended = record.ended;
  }
  if (last != nullptr) {
    operations.push_back({.value = last->found, .began = moment_ + 1, .ended = moment_ + 2});
  }
  const RegisterCheck::Finding finding = RegisterCheck::Search(operations);
  if (finding.gave_up) {
    broken->push_back(absl::StrCat("the ", operations.size(), " operations on ", key,
                                   " are too many at once: no order of them was found, nor that "
                                   "there is none"));
  }
  if (!finding.misfit.has_value()) return;
  if (*finding.misfit == ids.size()) {
    broken->push_back(absl::StrCat("node ", last->node, " has ", Quoted(last->found),
                                   " in the end, which no order of the operations on ", key,
                                   " allows"));
    return;
  }
  const Id id = ids[*finding.misfit];
  const Record& record = records_[id];
  broken->push_back(absl::StrCat(
      NameOf(id), " of moments ", record.began, " to ", record.ended,
      record.operation.kind == Kind::kRead ? absl::StrCat(" found ", Quoted(record.found)) : "",
      ", which no order of the operations on ", key, " allows"));
}

void History::CheckRegisters(std::vector<std::string>* broken) const {
  std::map<std::string, std::vector<Id>> by_key;
  for (Id id = 0; id < records_.size(); ++id) {
    const Record& record = records_[id];
    const bool is_write = record.operation.kind == Kind::kWrite;
    if (!is_write && record.operation.kind != Kind::kRead) continue;
    if (record.not_executed() || (is_write && record.never_executed())) continue;
    // A read that failed says nothing.
    if (!is_write && !record.ok()) continue;
    by_key[record.operation.key].push_back(id);
  }
  // Equal final reads are checked once. Reads that break a rule by themselves have been reported.
  std::map<std::string, std::map<std::optional<std::string>, const FinalRead*>> finals;
  for (const FinalRead& read : final_reads_) {
    if (CheckFinalRead(read, broken)) finals[read.key].try_emplace(read.found, &read);
  }
  for (const auto& [key, ids] : by_key) {
    const size_t before = broken->size();
    const auto last = finals.find(key);
    if (last == finals.end()) {
      CheckRegister(key, ids, nullptr, broken);
      continue;
    }
    for (const auto& [found, read] : last->second) {
      // One report a key: further ones would mostly repeat it.
      if (broken->size() == before) CheckRegister(key, ids, read, broken);
    }
  }
}

std::vector<std::string> History::Check() const {
  MutexLock lock(mu_);
  std::vector<std::string> broken = strange_;
  for (Id id = 0; id < records_.size(); ++id) CheckEnd(id, &broken);
  CheckOrders(&broken);
  CheckRegisters(&broken);
  return broken;
}

absl::Status History::CheckStatus() const {
  const std::vector<std::string> broken = Check();
  return broken.empty() ? absl::OkStatus() : absl::InternalError(absl::StrJoin(broken, "\n"));
}

}  // namespace weft
