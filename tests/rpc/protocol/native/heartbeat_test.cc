// The verdicts of a heartbeat on a connection that the test plays as plain values: no timer runs.
#include "weft/rpc/protocol/native/heartbeat.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Act = Heartbeat::Verdict::Act;

constexpr uint64_t kPingSize = 16;

// A heartbeat of one second with two misses, whose connection the test plays.
class HeartbeatTest : public testing::Test {
 protected:
  HeartbeatTest() {
    signs_.now = signs_.last_read = MonoTime(seconds(100));
    EXPECT_EQ(beat_.Begin(signs_.now, seconds(1), 2), MonoTime(seconds(101)));
    // All output so far is acknowledged.
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
    // 100 of these do not reach the PING, which stands behind 40 MiB.
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
  // Reading goes on again, but its pause covers a part of the interval that the next look judges.
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
    // A PING is output as well: the look behind it asks for none.
    EXPECT_EQ(Look().act, i == 0 ? Act::kNothing : i % 2 == 1 ? Act::kPing : Act::kNothing) << i;
  }
}

TEST_F(HeartbeatTest, LooksAgainWhenTheLastSignIsAnIntervalOld) {
  signs_.last_read += milliseconds(300);
  const Heartbeat::Verdict verdict = Look();
  EXPECT_EQ(verdict.act, Act::kNothing);
  EXPECT_EQ(verdict.look_at, MonoTime(milliseconds(101'300)));
}

// The verdicts of a heartbeat on a peer that is silent from `last` on, each time that it wants to
// look, and a little later.
struct Judged {
  int pings = 0;
  Nanos first_ping{}, suspect{}, end{};  // behind the last sign of life
};
Judged JudgeSilence(Nanos interval, MonoTime begun, MonoTime last, bool asks) {
  Heartbeat beat(asks);
  Heartbeat::Signs signs;
  signs.last_read = last;
  Judged judged;
  MonoTime at = beat.Begin(begun, interval, 2);
  for (int looks = 0; looks < 10; ++looks) {
    signs.now = at + microseconds(70);
    const Heartbeat::Verdict verdict = beat.Look(signs);
    if (at < last + interval) {  // it has said nothing itself: that is another question
      signs.appended += kPingSize;
      at = verdict.look_at;
      continue;
    }
    if (verdict.act == Act::kPing && ++judged.pings == 1) judged.first_ping = at - last;
    if (verdict.became_suspect) judged.suspect = at - last;
    judged.end = at - last;
    if (verdict.act == Act::kEnd) return judged;
    EXPECT_GT(verdict.look_at, signs.now);
    at = verdict.look_at;
  }
  ADD_FAILURE() << "it never ends";
  return judged;
}

TEST(HeartbeatTimes, AreAStepLateAtMostWheneverThePeerFellSilent) {
  for (const Nanos interval :
       {Nanos(milliseconds(20)), Nanos(milliseconds(250)), Nanos(milliseconds(333)),
        Nanos(seconds(1)), Nanos(milliseconds(1'050)), Nanos(seconds(10))}) {
    // Steps are rounded up by some nanoseconds.
    const Nanos step = std::min<Nanos>(Heartbeat::kMaxStep, interval / 10) + Nanos(10);
    for (int i = 0; i < 1'000; ++i) {
      // Both times stand at ever different places between two steps.
      const MonoTime begun = MonoTime(seconds(100)) + i * microseconds(137);
      const MonoTime last = begun + i * microseconds(11);
      for (const bool asks : {true, false}) {
        const Judged judged = JudgeSilence(interval, begun, last, asks);
        EXPECT_EQ(judged.pings, 2);
        // A side that leaves the asking to its peer waits for half an interval more.
        const Nanos first = asks ? interval : interval + interval / 2 - step;
        EXPECT_GE(judged.first_ping, first);
        EXPECT_LE(judged.first_ping, interval + (asks ? Nanos(0) : interval / 2) + step);
        EXPECT_GE(judged.suspect, interval * 2);
        EXPECT_LE(judged.suspect, interval * 2 + step);
        EXPECT_GE(judged.end, interval * 3);
        EXPECT_LE(judged.end, interval * 3 + step);
        if (testing::Test::HasFailure()) {
          FAIL() << ToAbsl(interval) << " " << i << (asks ? " asks" : "");
        }
      }
    }
  }
}

TEST(HeartbeatTimes, AreTheSameForManyPeers) {
  std::set<MonoTime> looks;
  for (int i = 0; i < 100; ++i) {
    Heartbeat beat;
    looks.insert(beat.Begin(MonoTime(seconds(100)) + i * microseconds(9'999), seconds(1), 2));
  }
  // The beats begin all over one second, and share the looks of its ten steps and of one more.
  EXPECT_LE(looks.size(), 11u);
}

// The other side asks: this one does so only where it is late.
TEST(HeartbeatOfTwo, LeavesTheAskingToThePeer) {
  Heartbeat beat(/*asks=*/false);
  Heartbeat::Signs signs;
  signs.last_read = signs.now = MonoTime(seconds(100));
  MonoTime at = beat.Begin(signs.now, seconds(1), 2);
  for (int i = 0; i < 100; ++i) {
    // The peer's PING, a little later than this side looks, and the answer to it.
    while (at <= signs.last_read + milliseconds(1'120)) {
      signs.now = at;
      const Heartbeat::Verdict verdict = beat.Look(signs);
      EXPECT_EQ(verdict.act, Act::kNothing);
      EXPECT_FALSE(verdict.became_suspect);
      at = verdict.look_at;
    }
    signs.last_read += milliseconds(1'120);
    EXPECT_FALSE(beat.OnRead());
    signs.appended += kPingSize;
  }
}

}  // namespace
}  // namespace weft::internal::native
