#include "ledger.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace weft::examples::kv {

int64_t Ledger::Begin(const std::string& key) {
  const std::lock_guard lock(mu_);
  // A number for each attempt: a write without an answer may still arrive, and must differ from its
  // repetition.
  return writes_[key].begun++;
}

void Ledger::Acknowledge(const std::string& key, int64_t number) {
  const std::lock_guard lock(mu_);
  // Stays in order, because one thread writes a key.
  writes_[key].acknowledged.push_back(number);
  ++acknowledged_;
}

int64_t Ledger::LostIn(std::string_view key, int64_t number) const {
  const std::lock_guard lock(mu_);
  const auto it = writes_.find(key);
  if (it == writes_.end()) return 0;
  const std::vector<int64_t>& all = it->second.acknowledged;
  // A read of a later write finds the earlier ones, too: they were replaced, not lost.
  return all.end() - std::upper_bound(all.begin(), all.end(), number);
}

int64_t Ledger::Newest(std::string_view key) const {
  const std::lock_guard lock(mu_);
  const auto it = writes_.find(key);
  if (it == writes_.end() || it->second.acknowledged.empty()) return kNothing;
  return it->second.acknowledged.back();
}

int64_t Ledger::acknowledged() const {
  const std::lock_guard lock(mu_);
  return acknowledged_;
}

std::vector<std::string> Ledger::keys() const {
  const std::lock_guard lock(mu_);
  std::vector<std::string> keys;
  for (const auto& [key, writes] : writes_) {
    // A write without an acknowledgement may be there or not, so it proves nothing.
    if (!writes.acknowledged.empty()) keys.push_back(key);
  }
  return keys;
}

// The number, then some padding to give it a usual size.
std::string Ledger::ValueOf(int64_t number) {
  return absl::StrCat(number, " ", std::string(64, 'v'));
}

int64_t Ledger::NumberIn(std::string_view value) {
  int64_t number = kNothing;
  const size_t end = std::min(value.find(' '), value.size());
  return absl::SimpleAtoi(absl::string_view(value.data(), end), &number) ? number : kNothing;
}

}  // namespace weft::examples::kv
