// Levelled log lines to a sink that the application may replace.
//
// weft logs what an operator would want to know: connections refused and why, listeners, accept
// storms. It never logs per call. Lines from a storm are thinned out by LogLimiter.
//
// A sink is called where something is to be said, also inside calls of the application's: it takes
// no lock that is held around one, and does not call weft.
//
// A line may hold what a peer sent. Whatever it holds, a sink gets one line of printable UTF-8, of
// at most Log::kMaxLine bytes: here, where every line passes, the rest is escaped
// (core/printable.h).
//
// Threads  any
// Errors   a sink must not fail; what it throws is swallowed
#ifndef WEFT_CORE_LOG_H_
#define WEFT_CORE_LOG_H_

#include <atomic>
#include <cstdint>
#include <memory>
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

class LogLimiter;

// A value: a sink and the least level that reaches it. Default: nothing is written.
class Log {
 public:
  // What a sink gets of a line at most, in bytes.
  static constexpr size_t kMaxLine = 3840;
  // Lines of other libraries that pass in a second.
  static constexpr int kForeignLines = 10;

  Log() = default;
  Log(std::shared_ptr<LogSink> sink, LogLevel least);

  bool Wants(LogLevel level) const { return sink_ != nullptr && level >= least_; }
  void Debug(std::string_view line) const { Write(LogLevel::kDebug, line); }
  void Info(std::string_view line) const { Write(LogLevel::kInfo, line); }
  void Warning(std::string_view line) const { Write(LogLevel::kWarning, line); }
  void Error(std::string_view line) const { Write(LogLevel::kError, line); }
  void Write(LogLevel level, std::string_view line) const;
  // A line that a library below wrote of itself. Anything may make it write many, a peer too: at
  // most kForeignLines of them pass in a second, of all copies of this log together.
  void WriteForeign(LogLevel level, std::string_view library, std::string_view line) const;

 private:
  std::shared_ptr<LogSink> sink_;
  std::shared_ptr<LogLimiter> foreign_;
  LogLevel least_ = LogLevel::kOff;
};

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

}  // namespace weft

#endif  // WEFT_CORE_LOG_H_
