#include "weft/core/log.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/mutex.h"
#include "weft/core/printable.h"
#include "weft/core/stderr_sink.h"

namespace weft {

using namespace internal;

std::shared_ptr<LogSink> StderrLogSink() { return std::make_shared<StderrSink>(); }

// Of all copies of a log. `above` and `below` make a tree, whose locks are taken from its root
// downward.
struct Log::State {
  std::atomic<LogLevel> least{LogLevel::kOff};
  LogLimiter foreign{kForeignLines};

  Mutex mu;
  std::optional<LogLevel> own_level WEFT_GUARDED_BY(mu);
  std::shared_ptr<LogSink> own_sink WEFT_GUARDED_BY(mu);
  std::shared_ptr<LogSink> sink WEFT_GUARDED_BY(mu);  // null: nowhere
  std::shared_ptr<State> above;                       // set before others see it
  std::vector<std::weak_ptr<State>> below WEFT_GUARDED_BY(mu);
  size_t forget_at WEFT_GUARDED_BY(mu) = 16;  // so many below, and those that have gone are erased

  void Add(const std::shared_ptr<State>& one) WEFT_EXCLUDES(mu) {
    MutexLock lock(mu);
    if (below.size() >= forget_at) {
      std::erase_if(below, [](const std::weak_ptr<State>& each) { return each.expired(); });
      forget_at = std::max<size_t>(16, 2 * below.size());
    }
    // Added under the mutex under which level and sink are read, so no change falls between the
    // two.
    below.push_back(one);
    one->Take(level_here(), sink);
  }
  // The own level and sink are changed by `change`; with the log above held, which neither is
  // changed meanwhile.
  template <typename Change>
  void Set(Change change) WEFT_EXCLUDES(mu) {
    if (above == nullptr) {
      ChangeBelow(LogLevel::kOff, nullptr, change);
    } else {
      MutexLock lock(above->mu);
      ChangeBelow(above->level_here(), above->sink, change);
    }
  }

 private:
  LogLevel level_here() const { return least.load(std::memory_order_relaxed); }
  // The log above has these now.
  void Take(LogLevel level, const std::shared_ptr<LogSink>& to) WEFT_EXCLUDES(mu) {
    ChangeBelow(level, to, [](std::optional<LogLevel>&, std::shared_ptr<LogSink>&) {});
  }
  template <typename Change>
  void ChangeBelow(LogLevel level, const std::shared_ptr<LogSink>& to, Change change)
      WEFT_EXCLUDES(mu) {
    MutexLock lock(mu);
    change(own_level, own_sink);
    sink = own_sink != nullptr ? own_sink : to;
    least.store(own_level.value_or(level), std::memory_order_relaxed);
    for (const std::weak_ptr<State>& each : below) {
      if (const std::shared_ptr<State> one = each.lock()) one->Take(level_here(), sink);
    }
  }
};

LogOptions::~LogOptions() = default;

Log::Log(std::shared_ptr<State> state) : state_(std::move(state)), least_(&state_->least) {}

Log::Log(std::shared_ptr<LogSink> sink, LogLevel least) : Log(std::make_shared<State>()) {
  SetSink(std::move(sink));
  SetLevel(least);
}

Log Log::Below(const LogOptions& own) const {
  Log log(std::make_shared<State>());
  log.Follow(*this);
  if (own.sink != nullptr) log.SetSink(own.sink);
  if (own.level.has_value()) log.SetLevel(own.level);
  return log;
}

void Log::Follow(const Log& above) const {
  if (state_ == nullptr || above.state_ == nullptr) return;
  state_->above = above.state_;
  state_->Set([](std::optional<LogLevel>& level, std::shared_ptr<LogSink>& sink) {
    level.reset();
    sink.reset();
  });
  above.state_->Add(state_);
}

void Log::SetLevel(std::optional<LogLevel> level) const {
  if (state_ == nullptr) return;
  state_->Set([level](std::optional<LogLevel>& own, std::shared_ptr<LogSink>&) { own = level; });
}

void Log::SetSink(std::shared_ptr<LogSink> sink) const {
  if (state_ == nullptr) return;
  // The old one may be destroyed by this, which is the application's code: without the locks.
  std::shared_ptr<LogSink> old = sink;
  state_->Set([&old](std::optional<LogLevel>&, std::shared_ptr<LogSink>& own) { own.swap(old); });
}

void Log::Write(LogLevel level, std::string_view line) const {
  if (!Wants(level)) return;
  // Copied under the mutex and called without it: the sink is the application's, and may log or
  // change this log.
  std::shared_ptr<LogSink> sink;
  {
    MutexLock lock(state_->mu);
    sink = state_->sink;
  }
  if (sink == nullptr) return;
  try {
    if (Printable::Is(line, kMaxLine)) {
      sink->Write(level, line);
    } else {
      // The 32 bytes leave room for the words about how much was left out.
      sink->Write(level, Printable::Text(line, kMaxLine - 32));
    }
  } catch (...) {  // a line is not worth a process
  }
}

void Log::WriteForeign(LogLevel level, std::string_view library, std::string_view line) const {
  if (!Wants(level)) return;
  int64_t dropped = 0;
  if (!state_->foreign.Allow(Clock::System().Now(), &dropped)) return;
  Write(level, absl::StrCat(
                   AbslView(library), ": ", AbslView(line),
                   dropped > 0 ? absl::StrCat("; ", dropped, " lines were left out before") : ""));
}

bool LogLimiter::Allow(MonoTime now, int64_t* dropped) {
  const int64_t second = now.time_since_epoch().count() / 1'000'000'000;
  // Threads that meet at the change of a second may let some lines more pass. The bound is for
  // readers of logs, and not worth a lock.
  if (second_.exchange(second, std::memory_order_relaxed) != second) {
    in_second_.store(0, std::memory_order_relaxed);
  }
  if (in_second_.fetch_add(1, std::memory_order_relaxed) >= burst_) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  *dropped = dropped_.exchange(0, std::memory_order_relaxed);
  return true;
}

}  // namespace weft
