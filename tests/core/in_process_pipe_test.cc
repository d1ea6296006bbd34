// The two ends of a connection in memory, byte by byte, compared with the behaviour of sockets:
// room, closes, resets, delays, loss and holds. There are no loops and no threads.
#include "weft/core/in_process_pipe.h"

#include <errno.h>

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "weft/core/manual_clock.h"
#include "weft/core/random_bits.h"

namespace weft::internal {
namespace {

using std::chrono::milliseconds;
using Side = InProcessPipe::Side;

class CountingWaker final : public InProcessWaker {
 public:
  void Wake() override { ++wakes; }
  int wakes = 0;
};

class InProcessPipeTest : public testing::Test {
 protected:
  // Time passes only by clock_.Advance, and with it the delays.
  void Open(const ConnectionFaults& faults = {}, size_t buffer = 1'000) {
    link_ = std::make_unique<InProcessPipe>(0, buffer, faults, clock_, clock_);
  }
  // Writes `bytes`. Returns the count, or minus errno.
  ssize_t Write(Side side, const std::string& bytes) {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    const ssize_t n = link_->Write(side, &piece, 1);
    return n < 0 ? -errno : n;
  }
  // Returns the bytes, or "<end>", "<again>" or "<reset>".
  std::string Read(Side side, size_t most = 10'000) {
    std::string bytes(most, '\0');
    const iovec piece{bytes.data(), bytes.size()};
    const ssize_t n = link_->Read(side, &piece, 1);
    if (n == 0) return "<end>";
    if (n < 0) return errno == EAGAIN ? "<again>" : errno == ECONNRESET ? "<reset>" : "<?>";
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }

  ManualClock clock_;
  std::unique_ptr<InProcessPipe> link_;
};

TEST_F(InProcessPipeTest, CarriesBytesBothWays) {
  Open();
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_EQ(Write(Side::kDialer, "there"), 5);
  EXPECT_EQ(Write(Side::kListener, "back"), 4);
  EXPECT_EQ(Read(Side::kListener), "there");
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_EQ(Read(Side::kDialer), "back");
}

TEST_F(InProcessPipeTest, TakesWhatThereIsRoomForAndThenNothing) {
  Open({}, 10);
  EXPECT_TRUE(link_->Look(Side::kDialer).writable);
  EXPECT_EQ(Write(Side::kDialer, "0123456"), 7);
  // A partial write, as a socket makes it.
  EXPECT_EQ(Write(Side::kDialer, "789abc"), 3);
  EXPECT_EQ(Write(Side::kDialer, "x"), -EAGAIN);
  EXPECT_FALSE(link_->Look(Side::kDialer).writable);
  EXPECT_EQ(Read(Side::kListener, 4), "0123");
  EXPECT_TRUE(link_->Look(Side::kDialer).writable);
  EXPECT_EQ(Write(Side::kDialer, "abcdef"), 4);
  EXPECT_EQ(Read(Side::kListener), "456789abcd");
}

TEST_F(InProcessPipeTest, WakesTheReaderOfBytesAndTheWriterThatFoundItFull) {
  Open({}, 10);
  const auto dialer = std::make_shared<CountingWaker>();
  const auto listener = std::make_shared<CountingWaker>();
  link_->SetWaker(Side::kDialer, dialer);
  link_->SetWaker(Side::kListener, listener);
  // Each wake posts a task to a loop, so wakes come only when a read or write may have become
  // possible.
  Write(Side::kDialer, "0123456");
  EXPECT_EQ(listener->wakes, 1);
  Read(Side::kListener, 1);
  EXPECT_EQ(dialer->wakes, 0);  // the buffer still had room
  Write(Side::kDialer, "0123456");
  Read(Side::kListener, 1);
  EXPECT_EQ(dialer->wakes, 1);
  // A waker that was taken away is not called: its owner may be gone.
  link_->SetWaker(Side::kListener, nullptr);
  Write(Side::kDialer, "0");
  EXPECT_EQ(listener->wakes, 2);
}

TEST_F(InProcessPipeTest, ACloseComesBehindTheBytesAndBreaksWritesToIt) {
  Open();
  Write(Side::kDialer, "last");
  link_->Close(Side::kDialer);
  EXPECT_EQ(Write(Side::kDialer, "x"), -EPIPE);
  EXPECT_EQ(Read(Side::kDialer), "<end>");
  // The write fails at once, before this end has read the close.
  EXPECT_EQ(Write(Side::kListener, "x"), -EPIPE);
  // One end is still open, so the bytes that it has not read must stay.
  EXPECT_TRUE(link_->open());
  EXPECT_EQ(Read(Side::kListener), "last");
  EXPECT_EQ(Read(Side::kListener), "<end>");
  EXPECT_TRUE(link_->Look(Side::kListener).readable);
  link_->Close(Side::kListener);
  EXPECT_FALSE(link_->open());
}

TEST_F(InProcessPipeTest, BytesArriveWhenTheyAreDueAndInOrder) {
  Open({.to_listener = {.delay = absl::Milliseconds(5)}});
  Write(Side::kDialer, "one");
  EXPECT_EQ(Read(Side::kListener), "<again>");
  InProcessPipe::Readiness look = link_->Look(Side::kListener);
  EXPECT_FALSE(look.readable);
  EXPECT_EQ(look.readable_at, clock_.Now() + milliseconds(5));
  clock_.Advance(milliseconds(3));
  // The second write has a shorter delay, and its bytes come behind the first all the same.
  link_->Change({.to_listener = {.delay = absl::Milliseconds(1)}});
  Write(Side::kDialer, "two");
  link_->Close(Side::kDialer);
  clock_.Advance(milliseconds(2) - Nanos(1));
  EXPECT_EQ(Read(Side::kListener), "<again>");
  clock_.Advance(Nanos(1));
  EXPECT_EQ(Read(Side::kListener), "onetwo");
  EXPECT_EQ(Read(Side::kListener), "<end>");
}

TEST_F(InProcessPipeTest, TheNewsOfACloseIsDelayedToo) {
  Open({.to_listener = {.delay = absl::Milliseconds(5)}});
  link_->Close(Side::kDialer);
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_EQ(link_->Look(Side::kListener).readable_at, clock_.Now() + milliseconds(5));
  clock_.Advance(milliseconds(5));
  EXPECT_EQ(Read(Side::kListener), "<end>");
}

TEST_F(InProcessPipeTest, ConnectionsOvertakeOneAnotherByTheirDelays) {
  Open({.to_listener = {.delay = absl::Milliseconds(5)}});
  // Write and Read go to link_, so the first pipe steps aside.
  const std::unique_ptr<InProcessPipe> slow = std::move(link_);
  Open({.to_listener = {.delay = absl::Milliseconds(1)}});
  const iovec piece{const_cast<char*>("slow"), 4};
  ASSERT_EQ(slow->Write(Side::kDialer, &piece, 1), 4);
  Write(Side::kDialer, "fast");
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Read(Side::kListener), "fast");
  EXPECT_FALSE(slow->Look(Side::kListener).readable);
}

TEST_F(InProcessPipeTest, ACutAtAByteLetsTheBytesBeforeItArrive) {
  Open({.to_listener = {.cut_at = 6}});
  Write(Side::kListener, "on its way back");
  EXPECT_EQ(Write(Side::kDialer, "0123"), 4);
  // The write that crosses the cut is taken up to it.
  EXPECT_EQ(Write(Side::kDialer, "4567"), 2);
  EXPECT_FALSE(link_->open());
  EXPECT_EQ(Read(Side::kListener), "012345");
  EXPECT_EQ(Read(Side::kListener), "<reset>");
  EXPECT_EQ(Read(Side::kDialer), "<reset>");  // bytes that were on their way are lost
  EXPECT_EQ(Write(Side::kDialer, "x"), -ECONNRESET);
  EXPECT_EQ(Write(Side::kListener, "x"), -ECONNRESET);
}

TEST_F(InProcessPipeTest, ACutNowLosesWhatIsUnderWay) {
  Open();
  const auto dialer = std::make_shared<CountingWaker>();
  link_->SetWaker(Side::kDialer, dialer);
  Write(Side::kDialer, "lost");
  link_->Cut();
  EXPECT_EQ(dialer->wakes, 1);
  EXPECT_TRUE(link_->Look(Side::kListener).readable);
  EXPECT_EQ(Read(Side::kListener), "<reset>");
  EXPECT_EQ(Read(Side::kDialer), "<reset>");
}

TEST_F(InProcessPipeTest, APulledCableSwallowsBytesAndTheNewsOfTheClose) {
  Open({.to_listener = {.drop_from = 2}}, 10);
  EXPECT_EQ(Write(Side::kDialer, "0123456789"), 10);
  // Lost bytes need no room: the writer does not notice the loss by being held up.
  EXPECT_EQ(Write(Side::kDialer, "more than the buffer holds"), 26);
  EXPECT_EQ(Read(Side::kListener), "01");
  EXPECT_EQ(Read(Side::kListener), "<again>");
  link_->Close(Side::kDialer);
  clock_.Advance(std::chrono::hours(1));
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_FALSE(link_->Look(Side::kListener).readable);
  // A write to the other end does not show it either.
  EXPECT_EQ(Write(Side::kListener, "are you there?"), 14);
}

TEST_F(InProcessPipeTest, WhatHasFallenSilentStaysSo) {
  Open({.to_listener = {.drop_from = 2}});
  Write(Side::kDialer, "0123");
  link_->Change({});
  Write(Side::kDialer, "4567");
  EXPECT_EQ(Read(Side::kListener), "01");
  EXPECT_EQ(Read(Side::kListener), "<again>");
}

TEST_F(InProcessPipeTest, ASlowReaderGetsLittleAndNotAtOnce) {
  Open({.to_listener = {.max_read = 2, .read_every = absl::Milliseconds(3)}});
  Write(Side::kDialer, "01234");
  EXPECT_EQ(Read(Side::kListener), "01");
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_EQ(link_->Look(Side::kListener).readable_at, clock_.Now() + milliseconds(3));
  clock_.Advance(milliseconds(3));
  EXPECT_EQ(Read(Side::kListener), "23");
}

TEST_F(InProcessPipeTest, HeldBytesArriveWhenItIsLetGo) {
  Open();
  link_->Hold(Side::kDialer, true);
  Write(Side::kDialer, "patience");
  link_->Close(Side::kDialer);
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_FALSE(link_->Look(Side::kListener).readable);
  const auto listener = std::make_shared<CountingWaker>();
  link_->SetWaker(Side::kListener, listener);
  link_->Hold(Side::kDialer, false);
  EXPECT_EQ(listener->wakes, 1);
  EXPECT_EQ(Read(Side::kListener), "patience");
  EXPECT_EQ(Read(Side::kListener), "<end>");
}

TEST_F(InProcessPipeTest, OneWayMayBeHeldWhileTheOtherGoesOn) {
  Open();
  link_->Hold(Side::kDialer, true);
  Write(Side::kDialer, "late");
  Write(Side::kListener, "now");
  EXPECT_EQ(Read(Side::kListener), "<again>");
  EXPECT_EQ(Read(Side::kDialer), "now");
  link_->Cut(InProcessPipe::Held::kHearsLater);
  EXPECT_EQ(Read(Side::kListener), "<again>") << "the news of the reset is held, too";
  // The held end does not know of the reset yet, so its write succeeds as on a real network.
  EXPECT_EQ(Write(Side::kListener, "unheard"), 7);
  // The way to this end is not held, so it hears at once.
  EXPECT_EQ(Read(Side::kDialer), "<reset>");
  link_->Hold(Side::kDialer, false);
  EXPECT_EQ(Read(Side::kListener), "<reset>");
}

TEST_F(InProcessPipeTest, OneEndAloneMayHearOfACut) {
  Open();
  Write(Side::kDialer, "on its way");
  link_->CutOneEnd(Side::kListener);
  EXPECT_EQ(Read(Side::kListener), "<reset>");
  EXPECT_EQ(Write(Side::kListener, "x"), -ECONNRESET);
  link_->Close(Side::kListener);
  // The other end is never told, however long it waits.
  clock_.Advance(milliseconds(1'000'000));
  EXPECT_EQ(Read(Side::kDialer), "<again>");
  EXPECT_EQ(Write(Side::kDialer, "is anybody there"), 16);
  EXPECT_FALSE(link_->open());
}

TEST_F(InProcessPipeTest, FallsSilentForBothEnds) {
  Open();
  Write(Side::kDialer, "lost");
  link_->Silence();
  EXPECT_EQ(Write(Side::kListener, "lost, too"), 9);
  link_->Close(Side::kListener);
  EXPECT_EQ(Read(Side::kDialer), "<again>");
}

TEST_F(InProcessPipeTest, SoManyBytesASecondArrive) {
  Open({.to_listener = {.delay = absl::Milliseconds(10), .bytes_per_second = 1'000'000}}, 100'000);
  EXPECT_EQ(Write(Side::kDialer, std::string(10'000, 'x')), 10'000);
  // 4 KiB arrive together, and are on the wire for 4.096 ms at a megabyte a second: the pieces are
  // due after 14.1, 18.2 and 20 ms.
  EXPECT_EQ(link_->Look(Side::kListener).readable_at,
            clock_.Now() + milliseconds(10) + std::chrono::microseconds(4'096));
  clock_.Advance(milliseconds(15));
  EXPECT_EQ(Read(Side::kListener).size(), 4'096u);
  clock_.Advance(milliseconds(5));
  EXPECT_EQ(Read(Side::kListener).size(), 10'000u - 4'096u);
  EXPECT_EQ(Write(Side::kDialer, "y"), 1);
  EXPECT_EQ(link_->Look(Side::kListener).readable_at,
            clock_.Now() + milliseconds(10) + std::chrono::microseconds(1))
      << "the wire was idle meanwhile";
}

TEST_F(InProcessPipeTest, KnowsWhatTheOtherEndHasNotRead) {
  Open({.to_listener = {.drop_from = 8}});
  EXPECT_EQ(link_->Unread(Side::kDialer), 0u);
  EXPECT_EQ(Write(Side::kDialer, "hello"), 5);
  EXPECT_EQ(link_->Unread(Side::kDialer), 5u);
  EXPECT_EQ(link_->Unread(Side::kListener), 0u) << "the other way";
  EXPECT_EQ(Read(Side::kListener, 2), "he");
  EXPECT_EQ(link_->Unread(Side::kDialer), 3u);
  EXPECT_EQ(Read(Side::kListener), "llo");
  EXPECT_EQ(link_->Unread(Side::kDialer), 0u);
  // Bytes that vanish on the way are never read.
  EXPECT_EQ(Write(Side::kDialer, "beyond"), 6);
  EXPECT_EQ(Read(Side::kListener), "bey");
  EXPECT_EQ(link_->Unread(Side::kDialer), 3u);
}

TEST_F(InProcessPipeTest, KeepsEveryByteInOrderWhateverThePiecesAre) {
  // The buffer is no multiple of the bytes that one write takes, so the ring wraps at many
  // positions.
  Open({.to_listener = {.max_delay = absl::Milliseconds(1), .max_write = 37, .seed = 3}}, 100);
  uint64_t random = 11;
  std::string sent, received;
  while (received.size() < 20'000) {
    std::string bytes;
    for (size_t n = NextRandomBits(&random) % 60; n > 0; --n) {
      bytes.push_back(static_cast<char>('a' + (sent.size() + bytes.size()) % 26));
    }
    const size_t half = bytes.size() / 2;
    const iovec out[2] = {{bytes.data(), half}, {bytes.data() + half, bytes.size() - half}};
    if (const ssize_t n = link_->Write(Side::kDialer, out, 2); n > 0) {
      sent.append(bytes, 0, static_cast<size_t>(n));
    }
    clock_.Advance(std::chrono::microseconds(NextRandomBits(&random) % 500));
    char one[5], two[40];
    const iovec in[2] = {{one, sizeof one}, {two, NextRandomBits(&random) % sizeof two}};
    if (const ssize_t n = link_->Read(Side::kListener, in, 2); n > 0) {
      const size_t first = std::min<size_t>(static_cast<size_t>(n), sizeof one);
      received.append(one, first);
      received.append(two, static_cast<size_t>(n) - first);
    }
  }
  // Partial writes, delays and split reads may cut the stream anywhere, but not change it.
  EXPECT_EQ(received, sent.substr(0, received.size()));
}

}  // namespace
}  // namespace weft::internal
