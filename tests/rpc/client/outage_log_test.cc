// The lines about one peer that comes and goes, by times that are given by hand.
#include "weft/rpc/client/outage_log.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Lines final : public LogSink {
 public:
  void Write(LogLevel level, std::string_view line) override {
    // The level is the first letter.
    lines.push_back((level == LogLevel::kInfo ? "I " : "W ") + std::string(line));
  }
  std::vector<std::string> Take() { return std::exchange(lines, {}); }
  std::vector<std::string> lines;
};

class OutageLogTest : public ::testing::Test {
 protected:
  static constexpr char kPeer[] = "b at 10.0.0.2:7000";

  void Lost(Nanos at) { log_.Lost(MonoTime(at), kPeer, absl::UnavailableError("silent for 3s")); }
  void Failed(Nanos at) { log_.Failed(MonoTime(at), kPeer, absl::UnavailableError("no route")); }
  void Refused(Nanos at) {
    log_.Failed(MonoTime(at), kPeer, absl::UnauthenticatedError("the token is refused"));
  }
  void Back(Nanos at) { log_.Back(MonoTime(at), kPeer); }

  std::shared_ptr<Lines> lines_ = std::make_shared<Lines>();
  OutageLog log_{Log(lines_, LogLevel::kInfo), "node a", "peer"};
};

TEST_F(OutageLogTest, TellsOfALossOfWhatLastsAndOfTheEnd) {
  Lost(seconds(100));
  EXPECT_THAT(lines_->Take(),
              ElementsAre("W node a: peer lost: silent for 3s (to b at 10.0.0.2:7000)"));
  for (int s = 101; s < 160; ++s) Failed(seconds(s));
  EXPECT_THAT(lines_->Take(), IsEmpty());
  // A minute behind the last line.
  Failed(seconds(160));
  EXPECT_THAT(lines_->Take(),
              ElementsAre("W node a: peer still unreachable: no route; 60 attempts in 1m "
                          "(to b at 10.0.0.2:7000)"));
  Back(seconds(170));
  EXPECT_THAT(lines_->Take(),
              ElementsAre("I node a: peer back (b at 10.0.0.2:7000, after 60 attempts in 1m10s)"));
  Back(seconds(171));
  EXPECT_THAT(lines_->Take(), IsEmpty()) << "it was there";
}

TEST_F(OutageLogTest, WaitsAMomentForOneThatWasNeverReached) {
  Failed(seconds(100));
  // Less than kPatience: a peer that is only slow to start has no line.
  Failed(seconds(100) + std::chrono::milliseconds(900));
  // A peer that was called away by no line is called back by none.
  Back(seconds(101));
  EXPECT_THAT(lines_->Take(), IsEmpty());
  Failed(seconds(200));
  Failed(seconds(201));
  EXPECT_THAT(lines_->Take(),
              ElementsAre("W node a: peer unreachable: no route (to b at 10.0.0.2:7000)"));
}

TEST_F(OutageLogTest, TellsOfARefusalAtOnce) {
  Refused(seconds(100));
  EXPECT_THAT(lines_->Take(),
              ElementsAre("W node a: peer refusal: the token is refused (to b at 10.0.0.2:7000)"));
  for (int s = 101; s <= 160; ++s) Refused(seconds(s));
  EXPECT_THAT(lines_->Take(), ElementsAre("W node a: peer refusal lasts: the token is refused; "
                                          "61 attempts in 1m (to b at 10.0.0.2:7000)"));
}

// A pair of lines a minute at most, once the first are used up.
TEST_F(OutageLogTest, IsNotFilledByOneThatComesAndGoes) {
  for (int s = 0; s < 600; ++s) {
    Lost(seconds(s));
    Back(seconds(s) + std::chrono::milliseconds(500));
  }
  // Ten minutes give ten warnings beside the burst, and each may have a line of its end.
  EXPECT_LE(lines_->lines.size(), 2u * (OutageLog::kBurst + 10));
  // The warnings have grown back by now, and the next one counts the losses that had none.
  Lost(minutes(20));
  EXPECT_THAT(lines_->lines.back(), ::testing::HasSubstr("; lost before without a line: "));
}

TEST_F(OutageLogTest, SaysNothingOfOneThatNobodyLooksForAnyMore) {
  Lost(seconds(100));
  lines_->Take();
  log_.Forget();
  Back(seconds(101));
  EXPECT_THAT(lines_->Take(), IsEmpty());
}

}  // namespace
}  // namespace weft::internal
