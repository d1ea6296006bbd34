// Readiness of one end of a connection in memory, reported to a loop on another thread:
// level-triggered, as with sockets.
#include "weft/core/in_process_watch.h"

#include <errno.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watch_recorder.h"
#include "weft/core/in_process_transport.h"
#include "weft/core/manual_clock.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using Side = InProcessPipe::Side;

// Watches the listener's end on a loop; the test itself has the dialer's end.
class InProcessWatchTest : public testing::Test {
 protected:
  void Open(const ConnectionFaults& faults = {}, size_t buffer = 1'000) {
    link_ = std::make_shared<InProcessPipe>(0, buffer, faults, clock_, clock_);
    here_ = std::make_unique<InProcessTransport>(link_, Side::kListener);
    there_ = std::make_unique<InProcessTransport>(link_, Side::kDialer);
    thread_.Run([&] {
      absl::StatusOr<std::unique_ptr<Watch>> made = here_->NewWatch(thread_.loop(), &recorder_);
      ASSERT_TRUE(made.ok());
      watch_ = *std::move(made);
    });
  }
  ~InProcessWatchTest() override {
    thread_.Run([&] { watch_.reset(); });
  }
  static ssize_t Write(Transport& transport, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    return transport.Write(&piece, 1);
  }
  static ssize_t Read(Transport& transport, size_t most) {
    std::string bytes(most, '\0');
    const iovec piece{bytes.data(), bytes.size()};
    return transport.Read(&piece, 1);
  }

  ManualClock clock_;
  LoopThread thread_{clock_};
  WatchRecorder recorder_;
  std::shared_ptr<InProcessPipe> link_;
  std::unique_ptr<Transport> here_, there_;
  std::unique_ptr<Watch> watch_;
};

TEST_F(InProcessWatchTest, TellsReadinessAsLongAsItLasts) {
  Open();
  recorder_.on_readable = [&] {
    // The byte stays unread in the first two calls, so the watch must call again.
    if (recorder_.reads.Get() == 3) {
      EXPECT_EQ(Read(*here_, 10), 1);
    }
  };
  thread_.Run([&] { watch_->WatchRead(true); });
  thread_.Settle();
  EXPECT_EQ(recorder_.reads.Get(), 0);
  EXPECT_EQ(Write(*there_, "x"), 1);
  EXPECT_TRUE(recorder_.reads.WaitForValue(3));
  thread_.Settle();
  EXPECT_EQ(recorder_.reads.Get(), 3);
}

TEST_F(InProcessWatchTest, SaysWhatWasReadyBeforeItWasWatchedFor) {
  Open();
  EXPECT_EQ(Write(*there_, "x"), 1);
  thread_.Settle();
  EXPECT_EQ(recorder_.reads.Get(), 0);
  recorder_.on_readable = [&] { Read(*here_, 10); };
  // No write comes from here on, so no other event would wake the loop.
  thread_.Run([&] { watch_->WatchRead(true); });
  EXPECT_TRUE(recorder_.reads.WaitForValue(1));
}

TEST_F(InProcessWatchTest, SaysWhenThereIsRoomAgain) {
  Open({}, 4);
  EXPECT_EQ(Write(*here_, "full"), 4);
  // The end stays writable, so one call is enough.
  recorder_.on_writable = [&] { watch_->WatchWrite(false); };
  thread_.Run([&] { watch_->WatchWrite(true); });
  thread_.Settle();
  EXPECT_EQ(recorder_.writes.Get(), 0);
  EXPECT_EQ(Read(*there_, 1), 1);
  EXPECT_TRUE(recorder_.writes.WaitForValue(1));
  thread_.Settle();
  EXPECT_EQ(recorder_.writes.Get(), 1);
}

TEST_F(InProcessWatchTest, SaysNothingOfWhatIsNotWatchedFor) {
  Open();
  thread_.Run([&] {
    watch_->WatchRead(true);
    watch_->WatchRead(false);
  });
  EXPECT_EQ(Write(*there_, "x"), 1);
  thread_.Settle();
  EXPECT_EQ(recorder_.reads.Get(), 0);
}

TEST_F(InProcessWatchTest, TheOtherEndsCloseAndAResetAreReadable) {
  for (const bool cut : {true, false}) {
    Open();
    recorder_.reads.Set(0);
    recorder_.on_readable = [&] { watch_->WatchRead(false); };
    thread_.Run([&] { watch_->WatchRead(true); });
    cut ? link_->Cut() : there_->ShutDown();
    EXPECT_TRUE(recorder_.reads.WaitForValue(1));
  }
}

TEST_F(InProcessWatchTest, BytesThatAreDueLaterAreReadableThen) {
  Open({.to_listener = {.delay = absl::Milliseconds(5)}});
  recorder_.on_readable = [&] { Read(*here_, 10); };
  thread_.Run([&] { watch_->WatchRead(true); });
  EXPECT_EQ(Write(*there_, "x"), 1);
  // The loop has looked, and found nothing that is due: only its timer can tell.
  thread_.Settle();
  clock_.Advance(milliseconds(5) - Nanos(1));
  EXPECT_EQ(recorder_.reads.Get(), 0);
  clock_.Advance(Nanos(1));
  EXPECT_TRUE(recorder_.reads.WaitForValue(1));
}

TEST_F(InProcessWatchTest, TellsAnotherListenerFromThenOn) {
  Open();
  WatchRecorder other;
  other.on_readable = [&] { Read(*here_, 10); };
  thread_.Run([&] {
    watch_->WatchRead(true);
    watch_->SetEvents(&other);
  });
  EXPECT_EQ(Write(*there_, "x"), 1);
  EXPECT_TRUE(other.reads.WaitForValue(1));
  EXPECT_EQ(recorder_.reads.Get(), 0);
  thread_.Run([&] { watch_.reset(); });  // while `other` still exists
}

TEST_F(InProcessWatchTest, MayBeStoppedOrDestroyedInsideItsCallback) {
  for (const bool destroy : {true, false}) {
    Open();
    recorder_.reads.Set(0);
    EXPECT_EQ(Write(*there_, "x"), 1);
    recorder_.on_readable = [&] { destroy ? watch_.reset() : watch_->Stop(); };
    // Both events become due in the same look.
    thread_.Run([&] {
      watch_->WatchRead(true);
      watch_->WatchWrite(true);
    });
    EXPECT_TRUE(recorder_.reads.WaitForValue(1));
    EXPECT_EQ(Write(*there_, "x"), 1);
    thread_.Settle();
    EXPECT_EQ(recorder_.reads.Get(), 1);
    EXPECT_EQ(recorder_.writes.Get(), 0);
  }
}

TEST_F(InProcessWatchTest, MayBeDestroyedWhileItsTaskIsQueued) {
  Open();
  thread_.Run([&] {
    watch_->WatchRead(true);
    // The write posts a task to this loop, which runs the task in a later turn.
    EXPECT_EQ(Write(*there_, "x"), 1);
    watch_.reset();
  });
  thread_.Settle();
  EXPECT_EQ(recorder_.reads.Get(), 0);
}

TEST_F(InProcessWatchTest, AClosedLoopIsToldNothing) {
  Open();
  thread_.Run([&] { watch_->WatchRead(true); });
  auto other = std::make_unique<LoopThread>(clock_);
  WatchRecorder recorder;
  std::unique_ptr<Watch> watch;
  other->Run([&] {
    watch = std::make_unique<InProcessWatch>(other->loop(), link_, Side::kDialer, &recorder);
    watch->WatchRead(true);
  });
  other->Stop();
  // The link still knows the watch. The first write's task is cancelled by the closed loop, and the
  // second posts none.
  EXPECT_EQ(Write(*here_, "x"), 1);
  EXPECT_EQ(Write(*here_, "y"), 1);
  EXPECT_EQ(recorder.reads.Get(), 0);
  watch.reset();
}

}  // namespace
}  // namespace weft::internal
