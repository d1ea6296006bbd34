// Levels and sinks of logs that follow one another, lines made printable, and limits on the lines
// in a second.
#include "weft/core/log.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

MonoTime At(double seconds) { return MonoTime(Nanos(static_cast<int64_t>(seconds * 1e9))); }

// Keeps each line with its level's number in front.
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

TEST(Log, ChangesItsLevelAndItsSinkForAllItsCopies) {
  auto first = std::make_shared<Lines>();
  auto second = std::make_shared<Lines>();
  const Log log(first, LogLevel::kWarning);
  const Log copy = log;
  copy.Info("not yet");
  log.SetLevel(LogLevel::kDebug);
  EXPECT_TRUE(copy.Wants(LogLevel::kDebug));
  copy.Debug("d");
  log.SetSink(second);
  copy.Info("i");
  log.SetLevel(LogLevel::kOff);
  copy.Error("off");
  EXPECT_EQ(first->lines, std::vector<std::string>{"0d"});
  EXPECT_EQ(second->lines, std::vector<std::string>{"1i"});
}

TEST(Log, BelowAnotherHasThatOnesLevelAndSinkUntilItHasItsOwn) {
  auto above_lines = std::make_shared<Lines>();
  auto own_lines = std::make_shared<Lines>();
  const Log above(above_lines, LogLevel::kWarning);
  const Log inherits = above.Below({});
  const Log own_level = above.Below({.level = LogLevel::kDebug});
  const Log own_sink = above.Below({.sink = own_lines});
  const Log deeper = inherits.Below({});
  above.SetLevel(LogLevel::kInfo);
  EXPECT_EQ(inherits.level(), LogLevel::kInfo);
  EXPECT_EQ(deeper.level(), LogLevel::kInfo);
  EXPECT_EQ(own_level.level(), LogLevel::kDebug);
  own_level.Debug("d");
  own_sink.Info("i");
  deeper.Info("deep");
  EXPECT_EQ(above_lines->lines, (std::vector<std::string>{"0d", "1deep"}));
  EXPECT_EQ(own_lines->lines, std::vector<std::string>{"1i"});

  inherits.SetLevel(LogLevel::kError);
  EXPECT_EQ(deeper.level(), LogLevel::kError);
  EXPECT_EQ(above.level(), LogLevel::kInfo);
  inherits.SetLevel(std::nullopt);
  EXPECT_EQ(deeper.level(), LogLevel::kInfo);
  // Without a sink of its own, the log writes to the sink of the log above again.
  own_sink.SetSink(nullptr);
  above.SetSink(own_lines);
  own_sink.Error("e");
  EXPECT_EQ(own_lines->lines, (std::vector<std::string>{"1i", "3e"}));
}

TEST(Log, ThatFollowsAnotherHasNothingOfItsOwnAnyMore) {
  auto lines = std::make_shared<Lines>();
  const Log above(lines, LogLevel::kError);
  const Log log(std::make_shared<Lines>(), LogLevel::kDebug);
  const Log below = log.Below({});
  log.Follow(above);
  // A warning is below the level of `above`, which `below` follows through `log`.
  below.Warning("w");
  above.SetLevel(LogLevel::kWarning);
  below.Warning("w");
  EXPECT_EQ(lines->lines, std::vector<std::string>{"2w"});
}

TEST(Log, OutlivesThoseBelowIt) {
  const Log above(std::make_shared<Lines>(), LogLevel::kError);
  // The log above forgets from time to time the logs below it that have gone.
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(above.Below({}).level(), LogLevel::kError);
  const Log last = above.Below({});
  above.SetLevel(LogLevel::kInfo);
  EXPECT_EQ(last.level(), LogLevel::kInfo);
}

TEST(Log, IsChangedWhileOthersWrite) {
  class Counts final : public LogSink {
   public:
    void Write(LogLevel, std::string_view) override { lines.fetch_add(1); }
    std::atomic<int> lines{0};
  };
  const auto one = std::make_shared<Counts>();
  const auto other = std::make_shared<Counts>();
  const Log above(one, LogLevel::kInfo);
  const Log below = above.Below({});
  std::thread writer([&] {
    for (int i = 0; i < 2'000; ++i) below.Error("e");
  });
  for (int i = 0; i < 500; ++i) {
    above.SetSink(i % 2 == 0 ? other : one);
    above.SetLevel(i % 3 == 0 ? LogLevel::kError : LogLevel::kDebug);
    // This also changes the list of the logs below `above`.
    (void)above.Below({.level = LogLevel::kInfo});
  }
  writer.join();
  // Errors are above every level that is set: each line reached one of the two sinks.
  EXPECT_EQ(one->lines.load() + other->lines.load(), 2'000);
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

// Any line may hold bytes that a peer sent.
TEST(Log, GivesASinkOnePrintableLineWhateverItHolds) {
  auto sink = std::make_shared<Lines>();
  const Log log(sink, LogLevel::kDebug);
  log.Error(std::string("unknown method a\nE forged \x1b[2J\0\xff", 32));
  log.Error(std::string(100'000, '\n'));
  ASSERT_EQ(sink->lines.size(), 2u);
  EXPECT_EQ(sink->lines[0], "3unknown method a\\nE forged \\x1b[2J\\x00\\xff");
  // The 1 is the level's number.
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
  EXPECT_LE(sink->lines.size(), 3u * Log::kForeignLines);  // a second may begin during the loop
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
  // The next second reports the rest of the count.
  EXPECT_TRUE(limiter.Allow(At(6), &before));
  EXPECT_EQ(allowed.load() + dropped.load() + before, kThreads * kLines);
  // Threads that begin the second together may each have the count set back.
  EXPECT_LE(allowed.load(), 10 * kThreads);
}

}  // namespace
}  // namespace weft::internal
