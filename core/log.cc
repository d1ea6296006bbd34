#include "weft/core/log.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/printable.h"
#include "weft/core/stderr_sink.h"

namespace weft {

std::shared_ptr<LogSink> StderrLogSink() { return std::make_shared<StderrSink>(); }

Log::Log(std::shared_ptr<LogSink> sink, LogLevel least)
    : sink_(std::move(sink)),
      foreign_(std::make_shared<LogLimiter>(kForeignLines)),
      least_(least) {}

void Log::Write(LogLevel level, std::string_view line) const {
  if (!Wants(level)) return;
  try {
    if (Printable::Is(line, kMaxLine)) {
      sink_->Write(level, line);
    } else {
      sink_->Write(level, Printable::Text(line, kMaxLine - 32));
    }
  } catch (...) {  // a line is not worth a process
  }
}

void Log::WriteForeign(LogLevel level, std::string_view library, std::string_view line) const {
  if (!Wants(level)) return;
  int64_t dropped = 0;
  if (!foreign_->Allow(Clock::System().Now(), &dropped)) return;
  Write(level, absl::StrCat(
                   absl::string_view(library.data(), library.size()), ": ",
                   absl::string_view(line.data(), line.size()),
                   dropped > 0 ? absl::StrCat("; ", dropped, " lines were left out before") : ""));
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
