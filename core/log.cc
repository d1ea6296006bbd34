#include "weft/core/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace weft {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

// Owns its logger: spdlog's global registry is not used, so nothing outlives or precedes this
// object.
class SpdlogSink final : public LogSink {
 public:
  SpdlogSink() : logger_("weft", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(spdlog::level::trace);
    logger_.set_pattern("%Y-%m-%d %H:%M:%S.%f %L weft[%t] %v");
    logger_.flush_on(spdlog::level::trace);
  }
  void Write(LogLevel level, std::string_view line) override {
    logger_.log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
};

}  // namespace

std::shared_ptr<LogSink> StderrLogSink() { return std::make_shared<SpdlogSink>(); }

void Log::Write(LogLevel level, std::string_view line) const {
  if (!Wants(level)) return;
  try {
    sink_->Write(level, line);
  } catch (...) {  // a line is not worth a process
  }
}

bool LogLimiter::Allow(MonoTime now, int64_t* dropped) {
  const int64_t second = now.time_since_epoch().count() / 1'000'000'000;
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
