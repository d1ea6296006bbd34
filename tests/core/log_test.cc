#include "weft/core/log.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft {
namespace {

MonoTime At(double seconds) { return MonoTime(Nanos(static_cast<int64_t>(seconds * 1e9))); }

class Lines final : public LogSink {
 public:
  void Write(LogLevel level, std::string_view line) override {
    if (fail) throw std::runtime_error("disk full");
    lines.push_back(std::to_string(static_cast<int>(level)) + std::string(line));
  }
  std::vector<std::string> lines;
  bool fail = false;
};

TEST(Log, WritesNothingByDefault) {
  const Log log;
  EXPECT_FALSE(log.Wants(LogLevel::kError));
  log.Error("to nobody");
}

TEST(Log, WritesItsLevelAndAbove) {
  auto sink = std::make_shared<Lines>();
  const Log log(sink, LogLevel::kWarning);
  EXPECT_FALSE(log.Wants(LogLevel::kInfo));
  EXPECT_TRUE(log.Wants(LogLevel::kWarning));
  log.Debug("d");
  log.Info("i");
  log.Warning("w");
  log.Error("e");
  EXPECT_EQ(sink->lines, (std::vector<std::string>{"2w", "3e"}));
}

TEST(Log, SwallowsWhatASinkThrows) {
  auto sink = std::make_shared<Lines>();
  sink->fail = true;
  const Log log(sink, LogLevel::kDebug);
  log.Error("lost");
  EXPECT_TRUE(sink->lines.empty());
}

TEST(Log, GoesToStandardErrorThroughTheDefaultSink) {
  testing::internal::CaptureStderr();
  const Log log(StderrLogSink(), LogLevel::kInfo);
  log.Info("a line with {} braces %s");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("a line with {} braces %s"), std::string::npos) << text;
}

// What a peer sent may stand in any line.
TEST(Log, GivesASinkOnePrintableLineWhateverItHolds) {
  auto sink = std::make_shared<Lines>();
  const Log log(sink, LogLevel::kDebug);
  log.Error(std::string("unknown method a\nE forged \x1b[2J\0\xff", 32));
  log.Error(std::string(100'000, '\n'));
  ASSERT_EQ(sink->lines.size(), 2u);
  EXPECT_EQ(sink->lines[0], "3unknown method a\\nE forged \\x1b[2J\\x00\\xff");
  EXPECT_LE(sink->lines[1].size(), Log::kMaxLine + 1);
}

TEST(Log, ThinsOutLinesOfOtherLibrariesOverAllItsCopies) {
  auto sink = std::make_shared<Lines>();
  const Log log(sink, LogLevel::kWarning);
  for (int i = 0; i < 1'000; ++i) {
    const Log copy = log;
    copy.WriteForeign(LogLevel::kError, "protobuf", "a field");
    copy.WriteForeign(LogLevel::kInfo, "protobuf", "below the level");
  }
  ASSERT_FALSE(sink->lines.empty());
  EXPECT_EQ(sink->lines[0], "3protobuf: a field");
  EXPECT_LE(sink->lines.size(), 3u * Log::kForeignLines);  // a second may begin meanwhile
}

TEST(LogLimiter, LetsABurstThroughInEachSecondAndCountsTheRest) {
  LogLimiter limiter(3);
  int64_t dropped = -1;
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limiter.Allow(At(10.1), &dropped));
    EXPECT_EQ(dropped, 0);
  }
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(limiter.Allow(At(10.5), &dropped));
  EXPECT_TRUE(limiter.Allow(At(11.0), &dropped));
  EXPECT_EQ(dropped, 7);
  EXPECT_TRUE(limiter.Allow(At(11.1), &dropped));
  EXPECT_EQ(dropped, 0) << "said once";
}

TEST(LogLimiter, StartsAnewAfterAQuietTime) {
  LogLimiter limiter(1);
  int64_t dropped = 0;
  EXPECT_TRUE(limiter.Allow(At(1), &dropped));
  EXPECT_FALSE(limiter.Allow(At(1.9), &dropped));
  EXPECT_TRUE(limiter.Allow(At(100), &dropped));
  EXPECT_EQ(dropped, 1);
}

TEST(LogLimiter, CountsEveryLineOfManyThreads) {
  constexpr int kThreads = 4, kLines = 5'000;
  LogLimiter limiter(10);
  std::atomic<int64_t> allowed{0}, dropped{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kLines; ++i) {
        int64_t before = 0;
        if (limiter.Allow(At(5), &before)) {
          allowed.fetch_add(1);
          dropped.fetch_add(before);
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  int64_t before = 0;
  EXPECT_TRUE(limiter.Allow(At(6), &before));
  EXPECT_EQ(allowed.load() + dropped.load() + before, kThreads * kLines);
  // Threads that begin the second together may each have the count set back.
  EXPECT_LE(allowed.load(), 10 * kThreads);
}

}  // namespace
}  // namespace weft
