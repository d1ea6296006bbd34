#include "weft/rpc/protocol/native/heartbeat.h"

#include <gtest/gtest.h>

namespace weft::native {
namespace {

using std::chrono::seconds;
using Act = Heartbeat::Verdict::Act;

constexpr uint64_t kPingSize = 16;

// A heartbeat of one second with two misses, whose connection the test plays.
class HeartbeatTest : public testing::Test {
 protected:
  HeartbeatTest() {
    beat_.Begin(seconds(1), 2);
    signs_.now = signs_.last_read = MonoTime(seconds(100));
    signs_.appended = signs_.taken = 1'000;
  }

  // Looks a second later, and sends the PING that is asked for.
  Heartbeat::Verdict Look() {
    signs_.now += seconds(1);
    const Heartbeat::Verdict verdict = beat_.Look(signs_);
    if (verdict.act == Act::kPing) signs_.appended += kPingSize;
    return verdict;
  }
  void Read() {
    signs_.last_read = signs_.now;
    was_suspect_ = beat_.OnRead();
  }
  // Output that the peer has not taken.
  void Queue(uint64_t bytes) { signs_.appended += bytes; }

  Heartbeat beat_;
  Heartbeat::Signs signs_;
  bool was_suspect_ = false;
};

TEST_F(HeartbeatTest, AsksAfterASilentIntervalAndEndsAfterTheMisses) {
  EXPECT_EQ(Look().act, Act::kPing);
  signs_.taken = signs_.appended;  // that is no answer
  const Heartbeat::Verdict second = Look();
  EXPECT_EQ(second.act, Act::kPing);
  EXPECT_TRUE(second.became_suspect);
  const Heartbeat::Verdict third = Look();
  EXPECT_EQ(third.act, Act::kEnd);
  EXPECT_EQ(third.silent_for, seconds(3));
}

TEST_F(HeartbeatTest, AnythingReadBeginsAnew) {
  Look();
  Look();
  Read();
  EXPECT_TRUE(was_suspect_);
  Queue(1);
  EXPECT_EQ(Look().act, Act::kPing);
  EXPECT_EQ(Look().act, Act::kPing);
  EXPECT_EQ(Look().act, Act::kEnd);
}

TEST_F(HeartbeatTest, APeerThatTakesWhatStandsBeforeThePingIsNotSilent) {
  Queue(40 << 20);
  EXPECT_EQ(Look().act, Act::kPing);
  for (int i = 0; i < 100; ++i) {
    signs_.taken += 300'000;
    const Heartbeat::Verdict verdict = Look();
    EXPECT_NE(verdict.act, Act::kEnd);
    EXPECT_FALSE(verdict.became_suspect);
  }
}

TEST_F(HeartbeatTest, APeerThatHasTakenThePingMustAnswer) {
  Queue(1'000);
  EXPECT_EQ(Look().act, Act::kPing);
  signs_.taken = signs_.appended;  // with the PING
  EXPECT_NE(Look().act, Act::kEnd);
  // It takes everything that is sent, and says nothing.
  EXPECT_EQ(Look().act, Act::kPing);
  signs_.taken = signs_.appended;
  Queue(100);
  signs_.taken = signs_.appended;
  EXPECT_EQ(Look().act, Act::kEnd);
}

TEST_F(HeartbeatTest, WhileReadingIsPausedWhatIsTakenIsLife) {
  Look();
  signs_.taken = signs_.appended;
  signs_.paused = true;  // the answer may be there: nobody looks
  for (int i = 0; i < 100; ++i) {
    Queue(10);
    signs_.taken = signs_.appended;
    EXPECT_NE(Look().act, Act::kEnd);
  }
  // Nothing is taken any more.
  EXPECT_EQ(Look().act, Act::kPing);
  EXPECT_EQ(Look().act, Act::kEnd);
}

TEST_F(HeartbeatTest, APauseThatEndedBetweenTwoLooksCounts) {
  signs_.paused = true;
  Look();
  signs_.paused = false;
  Queue(10);
  signs_.taken = signs_.appended;
  EXPECT_NE(Look().act, Act::kEnd);
  EXPECT_NE(Look().act, Act::kEnd);
}

TEST_F(HeartbeatTest, ASuspectThatTakesMoreIsNoLongerSuspect) {
  Queue(1'000);
  Look();
  EXPECT_TRUE(Look().became_suspect);
  signs_.taken += 10;
  const Heartbeat::Verdict verdict = Look();
  EXPECT_TRUE(verdict.no_longer_suspect);
  EXPECT_NE(verdict.act, Act::kEnd);
  EXPECT_TRUE(Look().became_suspect);
}

TEST_F(HeartbeatTest, WhatTheSystemBelowTakesIsNoLife) {
  Queue(40 << 20);  // all of it in a large send buffer; none is acknowledged
  EXPECT_EQ(Look().act, Act::kPing);
  EXPECT_EQ(Look().act, Act::kPing);
  EXPECT_EQ(Look().act, Act::kEnd);
}

TEST_F(HeartbeatTest, ASideThatOnlyReadsSaysThatItLives) {
  for (int i = 0; i < 5; ++i) {
    Read();
    signs_.last_read += seconds(1);  // up to the look
    EXPECT_EQ(Look().act, i == 0 ? Act::kNothing : i % 2 == 1 ? Act::kPing : Act::kNothing) << i;
  }
}

TEST_F(HeartbeatTest, LooksAgainWhenTheLastSignIsAnIntervalOld) {
  signs_.last_read += std::chrono::milliseconds(300);
  const Heartbeat::Verdict verdict = Look();
  EXPECT_EQ(verdict.act, Act::kNothing);
  EXPECT_EQ(verdict.next_look, std::chrono::milliseconds(300));
}

}  // namespace
}  // namespace weft::native
