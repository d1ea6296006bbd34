// A log sink that keeps its lines.
//
// Threads  any
#ifndef WEFT_TESTS_SUPPORT_LOG_LINES_H_
#define WEFT_TESTS_SUPPORT_LOG_LINES_H_

#include <mutex>
#include <string>
#include <vector>

#include "weft/core/log.h"

namespace weft {

class LogLines final : public LogSink {
 public:
  void Write(LogLevel, std::string_view line) override {
    const std::lock_guard<std::mutex> lock(mu_);
    lines_.emplace_back(line);
  }
  size_t Count() const {
    const std::lock_guard<std::mutex> lock(mu_);
    return lines_.size();
  }
  // All lines, a newline behind each.
  std::string Text() const {
    const std::lock_guard<std::mutex> lock(mu_);
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }

 private:
  mutable std::mutex mu_;
  std::vector<std::string> lines_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_LOG_LINES_H_
