// The wheel of deadlines on a loop of its own: with a manual clock, against a sorted map over many
// random steps, and once with the system's clock.
#include "weft/core/deadline_wheel.h"

#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Deadlines that are a revolution apart share a slot.
constexpr Nanos kRevolution = DeadlineWheel::kTick * DeadlineWheel::kSlots;

class Entry final : public DeadlineEntry {
 public:
  void OnDeadline() override {
    ++told;
    if (on_deadline) on_deadline();
  }
  int told = 0;
  std::function<void()> on_deadline;
};

class DeadlineWheelTest : public testing::Test {
 protected:
  DeadlineWheelTest() {
    thread_.Run([this] { wheel_ = std::make_unique<DeadlineWheel>(thread_.loop()); });
  }
  ~DeadlineWheelTest() override {
    thread_.Run([this] { wheel_.reset(); });
  }
  void InsertAfter(Entry& entry, Nanos d) {
    thread_.Run([&] { wheel_->Insert(&entry, clock_.Now() + d); });
  }
  void Remove(Entry& entry) {
    thread_.Run([&] { wheel_->Remove(&entry); });
  }
  size_t Size() {
    size_t size = 0;
    thread_.Run([&] { size = wheel_->size(); });
    return size;
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  std::unique_ptr<DeadlineWheel> wheel_;
};

TEST_F(DeadlineWheelTest, TellsAnEntryOnceAndNotBeforeItsDeadline) {
  Entry entry;
  // The deadline lies within a tick, while slots are whole ticks.
  InsertAfter(entry, milliseconds(10) + microseconds(300));
  EXPECT_TRUE(entry.in_wheel());
  thread_.Advance(milliseconds(10) + microseconds(300) - Nanos(1));
  EXPECT_EQ(entry.told, 0);
  thread_.Advance(Nanos(1));
  EXPECT_EQ(entry.told, 1);
  EXPECT_FALSE(entry.in_wheel());
  // The wheel passes the entry's slot three more times.
  thread_.Advance(kRevolution * 3);
  EXPECT_EQ(entry.told, 1);
  EXPECT_EQ(Size(), 0u);
}

TEST_F(DeadlineWheelTest, KeepsEntriesOfLaterRoundsApart) {
  // All five deadlines fall into the same slot.
  Entry entries[5];
  for (int i = 0; i < 5; ++i) InsertAfter(entries[i], milliseconds(3) + kRevolution * i);
  for (int i = 0; i < 5; ++i) {
    thread_.Advance(i == 0 ? Nanos(milliseconds(3)) : kRevolution);
    for (int k = 0; k < 5; ++k) EXPECT_EQ(entries[k].told, k <= i ? 1 : 0) << i << " " << k;
  }
}

// A jump over many revolutions must look into each slot, and once: entries of all rounds share the
// slots.
TEST_F(DeadlineWheelTest, TellsThoseOfManyRoundsAfterAJumpOfTheClock) {
  Entry near, middle, far, beyond;
  InsertAfter(near, milliseconds(1));
  InsertAfter(middle, kRevolution / 2);
  InsertAfter(far, kRevolution * 7 + milliseconds(11));
  InsertAfter(beyond, hours(5));
  thread_.Advance(hours(4));
  EXPECT_EQ(near.told + middle.told + far.told, 3);
  EXPECT_EQ(beyond.told, 0);
  thread_.Advance(hours(1));
  EXPECT_EQ(beyond.told, 1);
}

TEST_F(DeadlineWheelTest, ARemovedEntryIsNotTold) {
  Entry stays, goes;
  InsertAfter(stays, milliseconds(5));
  InsertAfter(goes, milliseconds(5));
  // The second one finds nothing to remove, which is legal.
  Remove(goes);
  Remove(goes);
  EXPECT_FALSE(goes.in_wheel());
  EXPECT_EQ(Size(), 1u);
  thread_.Advance(milliseconds(5));
  EXPECT_EQ(stays.told, 1);
  EXPECT_EQ(goes.told, 0);
}

TEST_F(DeadlineWheelTest, AnEntryMayComeAgainEarlierOrLater) {
  Entry entry;
  InsertAfter(entry, milliseconds(50));
  Remove(entry);
  // Remove has left the timer at 50 ms; an earlier deadline has to move it.
  InsertAfter(entry, milliseconds(5));
  thread_.Advance(milliseconds(5));
  EXPECT_EQ(entry.told, 1);
  InsertAfter(entry, milliseconds(5));
  Remove(entry);
  // The timer still rings after 5 ms, for nothing, and has to be set anew.
  InsertAfter(entry, milliseconds(80));
  thread_.Advance(milliseconds(79));
  EXPECT_EQ(entry.told, 1);
  thread_.Advance(milliseconds(1));
  EXPECT_EQ(entry.told, 2);
}

TEST_F(DeadlineWheelTest, TellsAPastDeadlineInTheNextTurn) {
  Entry entry;
  thread_.Run([&] {
    wheel_->Insert(&entry, clock_.Now() - seconds(3));
    EXPECT_EQ(entry.told, 0) << "never inside Insert";
  });
  thread_.Settle();
  EXPECT_EQ(entry.told, 1);
}

TEST_F(DeadlineWheelTest, DoesNotTakeOneWithoutADeadline) {
  Entry entry;
  thread_.Run([&] { wheel_->Insert(&entry, kNever); });
  EXPECT_FALSE(entry.in_wheel());
  EXPECT_EQ(Size(), 0u);
}

// Both are due in the same look. The one that is told first takes the other out of the list that is
// being walked.
TEST_F(DeadlineWheelTest, ACallbackMayRemoveAnotherThatIsDue) {
  Entry first, second;
  first.on_deadline = [&] { wheel_->Remove(&second); };
  second.on_deadline = [&] { wheel_->Remove(&first); };
  InsertAfter(first, milliseconds(5));
  InsertAfter(second, milliseconds(5));
  thread_.Advance(milliseconds(6));
  EXPECT_EQ(first.told + second.told, 1);
  EXPECT_EQ(Size(), 0u);
}

TEST_F(DeadlineWheelTest, ACallbackMayInsertItselfAndOthers) {
  Entry again, other;
  again.on_deadline = [&] {
    if (again.told < 3) wheel_->Insert(&again, clock_.Now() + milliseconds(2));
    // Insert a deadline that has passed, while the wheel looks through that very slot.
    if (again.told == 1) wheel_->Insert(&other, clock_.Now() - milliseconds(1));
  };
  InsertAfter(again, milliseconds(2));
  for (int i = 1; i <= 3; ++i) {
    thread_.Advance(milliseconds(2));
    EXPECT_EQ(again.told, i);
  }
  EXPECT_EQ(other.told, 1);
}

TEST_F(DeadlineWheelTest, ACallbackMayDestroyItsEntry) {
  auto entry = std::make_unique<Entry>();
  entry->on_deadline = [&] { entry.reset(); };
  InsertAfter(*entry, milliseconds(1));
  thread_.Advance(milliseconds(1));
  EXPECT_EQ(entry, nullptr);
}

TEST_F(DeadlineWheelTest, AgreesWithASortedMapOverTenThousandRandomSteps) {
  constexpr int kEntries = 500;
  // The seed is fixed, so that a failure can be repeated.
  std::mt19937 random(20'240'607);
  std::vector<Entry> entries(kEntries);
  std::multimap<MonoTime, int> model;
  std::vector<int> expected(kEntries, 0);
  const auto forget = [&](int i) {
    for (auto it = model.begin(); it != model.end(); ++it) {
      if (it->second == i) {
        model.erase(it);
        return;
      }
    }
  };
  for (int step = 0; step < 10'000; ++step) {
    const int i = static_cast<int>(random() % kEntries);
    switch (random() % 8) {
      case 0:
        forget(i);
        Remove(entries[i]);
        break;
      case 1: {
        // Most steps are small; now and then one spans several revolutions (of 512 ms).
        const Nanos d = microseconds(random() % (random() % 10 == 0 ? 5'000'000 : 20'000));
        clock_.Advance(d);
        thread_.Settle();
        while (!model.empty() && model.begin()->first <= clock_.Now()) {
          ++expected[model.begin()->second];
          model.erase(model.begin());
        }
        for (int k = 0; k < kEntries; ++k) ASSERT_EQ(entries[k].told, expected[k]) << step;
        break;
      }
      default: {
        if (entries[i].in_wheel()) break;
        const Nanos d = microseconds(random() % (random() % 4 == 0 ? 3'000'000 : 50'000));
        model.emplace(clock_.Now() + d, i);
        InsertAfter(entries[i], d);
        // A deadline of now is told in the next turn, without Advance.
        if (d == Nanos::zero()) {
          thread_.Settle();
          ++expected[i];
          forget(i);
        }
      }
    }
    if (step % 1'000 == 0) {
      ASSERT_EQ(Size(), model.size());
    }
  }
  // Remove the entries first: the wheel must be empty when it is destroyed.
  for (Entry& entry : entries) Remove(entry);
}

TEST(DeadlineWheelOnSystemClock, IsNeverEarlyAndSleepsWhenEmpty) {
  LoopThread thread;
  std::unique_ptr<DeadlineWheel> wheel;
  Entry entry;
  Notification told;
  MonoTime at{}, seen{};
  entry.on_deadline = [&] {
    seen = Clock::System().Now();
    told.Notify();
  };
  thread.Run([&] {
    wheel = std::make_unique<DeadlineWheel>(thread.loop());
    // The deadline is no whole number of ticks: rounding it down would be early.
    at = Clock::System().Now() + microseconds(2'345);
    wheel->Insert(&entry, at);
  });
  ASSERT_TRUE(told.Wait());
  // There is no upper bound, since the machine's load decides how late the callback runs.
  EXPECT_GE(seen, at);
  thread.Run([&] { wheel.reset(); });
}

}  // namespace
}  // namespace weft::internal
