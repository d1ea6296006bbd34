#include "weft/rpc/mesh/view_log.h"

#include <algorithm>
#include <utility>

namespace weft::internal {

bool ViewLog::Take(View view, MonoTime now) {
  MutexLock lock(mu_);
  // Before the comparison: the same view again also shows that the source works again.
  last_refusal_ = absl::OkStatus();
  // The same view again is no news, and must not start a new epoch.
  if (current_.epoch > 0 && current_.view == view) return false;
  ++current_.epoch;
  current_.view = std::move(view);
  // A new view may end differences and begin others.
  for (auto& [peer, heard] : heard_) Compare(&heard, now);
  return true;
}

void ViewLog::Refuse(absl::Status why) {
  MutexLock lock(mu_);
  ++refused_;
  last_refusal_ = std::move(why);
}

NodeView ViewLog::current() const {
  MutexLock lock(mu_);
  return current_;
}

uint64_t ViewLog::refused(absl::Status* last) const {
  MutexLock lock(mu_);
  *last = last_refusal_;
  return refused_;
}

void ViewLog::Hear(std::string_view peer, uint64_t version, MonoTime now) {
  MutexLock lock(mu_);
  auto it = heard_.find(peer);
  if (it == heard_.end()) it = heard_.emplace(std::string(peer), Heard{}).first;
  it->second.version = version;
  Compare(&it->second, now);
}

void ViewLog::Compare(Heard* heard, MonoTime now) {
  if (current_.epoch == 0) return;  // no view to compare with yet
  if (heard->version == current_.view.version()) {
    heard->differs_since = std::nullopt;
    // A later difference is news again.
    heard->given = false;
  } else if (!heard->differs_since.has_value()) {
    // Later versions do not move the beginning: nodes that change and never agree must be told of.
    heard->differs_since = now;
  }
}

void ViewLog::Forget(std::string_view peer) {
  MutexLock lock(mu_);
  if (const auto it = heard_.find(peer); it != heard_.end()) heard_.erase(it);
}

size_t ViewLog::heard() const {
  MutexLock lock(mu_);
  return heard_.size();
}

std::vector<ViewLog::Difference> ViewLog::Differences() const {
  MutexLock lock(mu_);
  std::vector<Difference> all;
  for (const auto& [peer, heard] : heard_) {
    if (heard.differs_since.has_value()) {
      all.push_back({peer, heard.version, *heard.differs_since});
    }
  }
  return all;
}

std::vector<ViewLog::Difference> ViewLog::Lasting(MonoTime now, Nanos lasted) {
  MutexLock lock(mu_);
  std::vector<Difference> lasting;
  for (auto& [peer, heard] : heard_) {
    if (!heard.differs_since.has_value() || heard.given) continue;
    if (now < SaturatingAdd(*heard.differs_since, lasted)) continue;
    // Told once for each difference, not at each look.
    heard.given = true;
    lasting.push_back({peer, heard.version, *heard.differs_since});
  }
  return lasting;
}

MonoTime ViewLog::NextLasting(Nanos lasted) const {
  MutexLock lock(mu_);
  MonoTime next = kNever;
  for (const auto& [peer, heard] : heard_) {
    if (!heard.differs_since.has_value() || heard.given) continue;
    next = std::min(next, SaturatingAdd(*heard.differs_since, lasted));
  }
  return next;
}

}  // namespace weft::internal
