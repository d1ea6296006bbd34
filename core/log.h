// Levelled log lines to a sink that the application may replace.
//
// weft logs what an operator would want to know: connections refused and why, listeners, accept
// storms. It never logs per call. Lines from a storm are thinned out by LogLimiter.
//
// A sink is called where something is to be said, also inside calls of the application's: it takes
// no lock that is held around one, and does not call weft.
//
// A line may hold bytes that a peer sent. Every line passes here and is escaped (core/printable.h),
// so a sink always gets one line of printable UTF-8, of at most Log::kMaxLine bytes.
//
// Threads  any
// Errors   a sink must not fail; what it throws is swallowed
#ifndef WEFT_CORE_LOG_H_
#define WEFT_CORE_LOG_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "weft/core/clock.h"

namespace weft {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarning, kError, kOff };

// Where lines go. Called from any of weft's threads, several at once, I/O threads among them: one
// that waits holds up its connections.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void Write(LogLevel level, std::string_view line) = 0;
};

// The default: standard error, with time and thread. Waits for no reader, see core/stderr_sink.h.
std::shared_ptr<LogSink> StderrLogSink();

// The log of a server, a channel or a runtime, as its options say it.
struct LogOptions {
  // Lines of this level and above reach the sink; unset: as the runtime's log.
  std::optional<LogLevel> level = std::nullopt;
  // Null: the runtime's.
  std::shared_ptr<LogSink> sink = nullptr;
  // Not inline: gcc 12 otherwise warns at -O2 where options are written in nested braces
  // (`ServerOptions{.log = {.level = …}}`), that it may destroy a sink that was never set.
  ~LogOptions();
};

// A handle: its copies are one log, whose level and sink may be changed while lines are written. A
// log that is made below another has the other's level and sink wherever it has none of its own,
// also those that come later. Default: nothing is written, whatever is set.
class Log {
 public:
  // The most bytes of a line that a sink gets.
  static constexpr size_t kMaxLine = 3840;
  // Lines of other libraries that pass in a second.
  static constexpr int kForeignLines = 10;

  Log() = default;
  Log(const Log&) = default;
  Log& operator=(const Log&) = default;
  Log(std::shared_ptr<LogSink> sink, LogLevel least);

  // A log below this one.
  Log Below(const LogOptions& own) const;
  // A log that was made below none is below `above` from here on, and has nothing of its own; once,
  // before it is changed by anybody else.
  void Follow(const Log& above) const;

  // Of all its copies, and of the logs below that have no level of their own; unset: that of the
  // log above, if there is one.
  void SetLevel(std::optional<LogLevel> level) const;
  // Likewise; null: that of the log above. A line that is being written may still reach the old
  // sink.
  void SetSink(std::shared_ptr<LogSink> sink) const;
  LogLevel level() const {
    return state_ == nullptr ? LogLevel::kOff : least_->load(std::memory_order_relaxed);
  }

  // Costs one load.
  bool Wants(LogLevel level) const { return level >= least_->load(std::memory_order_relaxed); }
  void Debug(std::string_view line) const { Write(LogLevel::kDebug, line); }
  void Info(std::string_view line) const { Write(LogLevel::kInfo, line); }
  void Warning(std::string_view line) const { Write(LogLevel::kWarning, line); }
  void Error(std::string_view line) const { Write(LogLevel::kError, line); }
  void Write(LogLevel level, std::string_view line) const;
  // A line that a library below wrote of itself. Anything may make it write many, a peer too: at
  // most kForeignLines of them pass in a second, of all copies of this log together.
  void WriteForeign(LogLevel level, std::string_view library, std::string_view line) const;

 private:
  struct State;
  explicit Log(std::shared_ptr<State> state);

  // No line is of this level.
  static constexpr LogLevel kNone = static_cast<LogLevel>(static_cast<int>(LogLevel::kOff) + 1);
  static inline const std::atomic<LogLevel> nowhere_{kNone};

  std::shared_ptr<State> state_;                    // null: nothing is written
  const std::atomic<LogLevel>* least_ = &nowhere_;  // the state's
};

namespace internal {

// Lets at most `burst` lines through in each second and counts the rest.
class LogLimiter {
 public:
  explicit LogLimiter(int burst) : burst_(burst) {}
  // True: write the line, and say that `*dropped` like it were left out before.
  bool Allow(MonoTime now, int64_t* dropped);

 private:
  const int burst_;
  std::atomic<int64_t> second_{-1};
  std::atomic<int> in_second_{0};
  std::atomic<int64_t> dropped_{0};
};

}  // namespace internal

}  // namespace weft

#endif  // WEFT_CORE_LOG_H_
