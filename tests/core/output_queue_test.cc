// A queue of output over a transport whose writes go as a script says: who has to flush, partial
// writes, blocking, errors, closes in each state; and races of threads that append, flush and
// close.
#include "weft/core/output_queue.h"

#include <errno.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/scripted_transport.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

using Flushed = OutputQueue::Flushed;

class OutputQueueTest : public testing::Test {
 protected:
  // Appends a copy. Returns true if the caller has to flush.
  static bool Append(OutputQueue& queue, const std::string& bytes) {
    MutexLock lock(queue.mutex());
    char* room = queue.Reserve(bytes.size());
    std::memcpy(room, bytes.data(), bytes.size());
    queue.Commit(bytes.size());
    return queue.Claim();
  }
  static bool AppendShared(OutputQueue& queue, std::shared_ptr<std::string> bytes) {
    MutexLock lock(queue.mutex());
    const char* data = bytes->data();
    const size_t size = bytes->size();
    queue.AppendShared(std::move(bytes), data, size);
    return queue.Claim();
  }
  static size_t Queued(OutputQueue& queue) {
    MutexLock lock(queue.mutex());
    return queue.queued();
  }
  static bool Claim(OutputQueue& queue) {
    MutexLock lock(queue.mutex());
    return queue.Claim();
  }
  static bool Closed(OutputQueue& queue) {
    MutexLock lock(queue.mutex());
    return queue.closed();
  }

  // Outlives the transport, so that a test can ask whether that was destroyed.
  const std::shared_ptr<WriteRecord> record_ = std::make_shared<WriteRecord>();
  OutputQueue queue_{std::make_unique<ScriptedTransport>(record_)};
};

TEST_F(OutputQueueTest, WritesWhatWasAppendedInOneWrite) {
  EXPECT_TRUE(Append(queue_, "hello "));
  EXPECT_FALSE(Append(queue_, "world")) << "it is claimed: the flusher takes this too";
  EXPECT_EQ(Queued(queue_), 11u);
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "hello world");
  EXPECT_EQ(record_->writes(), 1);
  EXPECT_EQ(Queued(queue_), 0u);
}

TEST_F(OutputQueueTest, WithNothingQueuedThereIsNothingToClaim) {
  EXPECT_FALSE(Claim(queue_));
  EXPECT_TRUE(Append(queue_, "x"));
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_FALSE(Claim(queue_));
  EXPECT_TRUE(Append(queue_, "y")) << "idle again";
}

TEST_F(OutputQueueTest, KnowsWhatTheOtherEndHasTaken) {
  EXPECT_EQ(queue_.Acknowledged(), 0u);
  EXPECT_TRUE(Append(queue_, "0123456789"));
  // Six bytes of ten are written, and four wait.
  record_->Take(6);
  record_->Block();
  EXPECT_EQ(queue_.Flush(), Flushed::kBlocked);
  EXPECT_EQ(queue_.Acknowledged(), 6u) << "what is queued was not written";
  record_->unacknowledged = 4;
  EXPECT_EQ(queue_.Acknowledged(), 2u);
  // A unix socket reports more than was written. SIZE_MAX is the answer of a transport that cannot
  // tell.
  record_->unacknowledged = 1'000;
  EXPECT_EQ(queue_.Acknowledged(), 0u);
  record_->unacknowledged = SIZE_MAX;
  EXPECT_EQ(queue_.Acknowledged(), 0u);
}

TEST_F(OutputQueueTest, IgnoresEmptyAppends) {
  MutexLock lock(queue_.mutex());
  queue_.Reserve(10);
  queue_.Commit(0);
  queue_.AppendBlock(BlockRef::New(1), nullptr, 0);
  queue_.AppendShared(nullptr, nullptr, 0);
  EXPECT_EQ(queue_.queued(), 0u);
  EXPECT_FALSE(queue_.Claim());
}

TEST_F(OutputQueueTest, GoesOnAfterEachPartialWriteUntilAllIsTaken) {
  std::string all;
  for (int i = 0; i < 50; ++i) {
    // The sizes go from 0 to 22: empty pieces must not stop a write.
    const std::string piece(static_cast<size_t>(i * 7 % 23), static_cast<char>('a' + i % 26));
    all += piece;
    if (i % 3 == 0) {
      AppendShared(queue_, std::make_shared<std::string>(piece));
    } else {
      Append(queue_, piece);
    }
  }
  // Writes of one to three bytes end inside segments, at their ends, and beyond.
  for (size_t i = 0; i < all.size(); ++i) record_->Take(i % 3 + 1);
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), all);
}

TEST_F(OutputQueueTest, BlocksWhenTheKernelTakesNoMoreAndGoesOnAfterUnblock) {
  EXPECT_TRUE(Append(queue_, "0123456789"));
  record_->Take(4);
  record_->Block();
  EXPECT_EQ(queue_.Flush(), Flushed::kBlocked);
  EXPECT_EQ(Queued(queue_), 6u);
  EXPECT_FALSE(Append(queue_, "abc")) << "who appends to a blocked queue has nothing to do";
  EXPECT_FALSE(Claim(queue_));
  EXPECT_TRUE(queue_.Unblock());
  EXPECT_FALSE(queue_.Unblock()) << "only one gets it";
  EXPECT_FALSE(Claim(queue_));
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "0123456789abc");
}

TEST_F(OutputQueueTest, UnblocksNothingThatIsNotBlocked) {
  EXPECT_FALSE(queue_.Unblock());
  EXPECT_TRUE(Append(queue_, "x"));
  EXPECT_FALSE(queue_.Unblock());
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  queue_.Close();
  EXPECT_FALSE(queue_.Unblock());
}

TEST_F(OutputQueueTest, AnErrorBreaksItForGood) {
  EXPECT_TRUE(Append(queue_, "lost"));
  record_->Fail(ECONNRESET);
  EXPECT_EQ(queue_.Flush(), Flushed::kBroken);
  EXPECT_EQ(queue_.error(), ECONNRESET);
  EXPECT_FALSE(Append(queue_, "more")) << "nobody tries again";
  EXPECT_FALSE(queue_.Unblock());
  queue_.Close();
  // The flusher that failed keeps its claim and does not come back, so Close itself destroys the
  // transport.
  EXPECT_TRUE(record_->destroyed());
}

TEST_F(OutputQueueTest, ClosedItDropsAllAndTakesNothing) {
  auto keeper = std::make_shared<std::string>("shared");
  EXPECT_TRUE(Append(queue_, "queued"));
  AppendShared(queue_, keeper);
  queue_.Close();
  EXPECT_TRUE(Closed(queue_));
  EXPECT_TRUE(record_->destroyed());
  // The shared bytes are given up at once, although the claimer has not come yet.
  EXPECT_EQ(keeper.use_count(), 1);
  EXPECT_EQ(queue_.Flush(), Flushed::kClosed) << "the claimer comes late";
  EXPECT_FALSE(Append(queue_, "more"));
  EXPECT_FALSE(AppendShared(queue_, keeper));
  EXPECT_EQ(keeper.use_count(), 1);
  EXPECT_EQ(Queued(queue_), 0u);
  queue_.Close();
  queue_.Trim();
  EXPECT_EQ(record_->written(), "");
}

TEST_F(OutputQueueTest, IsClosedInEachState) {
  const auto make = [](const std::shared_ptr<WriteRecord>& record) {
    return std::make_unique<OutputQueue>(std::make_unique<ScriptedTransport>(record));
  };
  // The states are idle, claimed, blocked and broken.
  for (int state = 0; state < 4; ++state) {
    auto record = std::make_shared<WriteRecord>();
    auto queue = make(record);
    // A queue becomes blocked or broken only by a flush of the claimer.
    if (state >= 1) {
      EXPECT_TRUE(Append(*queue, "x"));  // claimed
    }
    if (state == 2) {
      record->Block();
      EXPECT_EQ(queue->Flush(), Flushed::kBlocked);
    }
    if (state == 3) {
      record->Fail(EPIPE);
      EXPECT_EQ(queue->Flush(), Flushed::kBroken);
    }
    EXPECT_FALSE(record->destroyed());
    queue->Close();
    EXPECT_TRUE(record->destroyed()) << state;
    EXPECT_FALSE(queue->Unblock());
    EXPECT_FALSE(Claim(*queue));
    EXPECT_EQ(queue->Flush(), Flushed::kClosed);
  }
}

TEST_F(OutputQueueTest, ClosedWhileAFlusherWritesIsGivenBackByTheFlusher) {
  auto keeper = std::make_shared<std::string>("shared bytes that the write still reads");
  Notification inside, go_on;
  record_->in_write = [&] {
    inside.Notify();
    EXPECT_TRUE(go_on.Wait());
  };
  ASSERT_TRUE(AppendShared(queue_, keeper));
  std::thread flusher([&] { EXPECT_EQ(queue_.Flush(), Flushed::kClosed); });
  ASSERT_TRUE(inside.Wait());
  queue_.Close();
  EXPECT_TRUE(record_->shut_down());
  EXPECT_FALSE(record_->destroyed()) << "its descriptor number must not be given away yet";
  // The write still reads these bytes.
  EXPECT_EQ(keeper.use_count(), 2);
  EXPECT_FALSE(Append(queue_, "more"));
  go_on.Notify();
  flusher.join();
  EXPECT_TRUE(record_->destroyed());
  EXPECT_EQ(keeper.use_count(), 1);
}

TEST_F(OutputQueueTest, ATransportThatClosesTheQueueInsideWriteIsHarmless) {
  record_->in_write = [&] { queue_.Close(); };
  EXPECT_TRUE(Append(queue_, "x"));
  EXPECT_EQ(queue_.Flush(), Flushed::kClosed);
  EXPECT_TRUE(record_->destroyed());
}

TEST_F(OutputQueueTest, KeepsASharedSegmentUntilItsLastByteIsWritten) {
  auto keeper = std::make_shared<std::string>(100'000, 's');
  Append(queue_, "head");
  AppendShared(queue_, keeper);
  Append(queue_, "tail");
  EXPECT_EQ(keeper.use_count(), 2) << "by reference, not by copy";
  // Write all but the last byte of the shared segment.
  record_->Take(4 + 99'999);
  record_->Block();
  EXPECT_EQ(queue_.Flush(), Flushed::kBlocked);
  EXPECT_EQ(keeper.use_count(), 2);
  ASSERT_TRUE(queue_.Unblock());
  record_->Take(1);
  record_->Block();
  EXPECT_EQ(queue_.Flush(), Flushed::kBlocked);
  EXPECT_EQ(keeper.use_count(), 1);
  ASSERT_TRUE(queue_.Unblock());
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "head" + *keeper + "tail");
}

TEST_F(OutputQueueTest, KeepsABlockUntilItIsWritten) {
  BlockRef block = BlockRef::New(10);
  std::memcpy(block->data(), "0123456789", 10);
  {
    MutexLock lock(queue_.mutex());
    queue_.AppendBlock(block, block->data() + 2, 5);
    ASSERT_TRUE(queue_.Claim());
  }
  EXPECT_FALSE(block->Sole());
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_TRUE(block->Sole());
  EXPECT_EQ(record_->written(), "23456");
}

TEST_F(OutputQueueTest, FillsItsTailBlockAgainWhenAllIsWritten) {
  const std::string more(400, 'm');  // too much for the small first block, which does not stay
  ASSERT_TRUE(Append(queue_, more));
  const char* room;
  {
    MutexLock lock(queue_.mutex());
    room = queue_.Reserve(1);
  }
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  MutexLock lock(queue_.mutex());
  EXPECT_EQ(queue_.Reserve(1), room - more.size());
}

TEST_F(OutputQueueTest, ReservesMoreThanABlock) {
  // This is more than the largest block that the tail makes by itself.
  const std::string large(300'000, 'l');
  EXPECT_TRUE(Append(queue_, "small"));
  Append(queue_, large);
  Append(queue_, "small");
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "small" + large + "small");
}

TEST_F(OutputQueueTest, CommitsLessThanWasReserved) {
  MutexLock lock(queue_.mutex());
  for (const char* part : {"ab", "", "cde"}) {
    // Reserve far more than is used: the next reservation begins behind the committed bytes.
    char* room = queue_.Reserve(3'000);
    std::memcpy(room, part, std::strlen(part));
    queue_.Commit(std::strlen(part));
  }
  EXPECT_EQ(queue_.queued(), 5u);
  ASSERT_TRUE(queue_.Claim());
  lock.Unlock();
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "abcde");
  lock.Lock();
}

TEST_F(OutputQueueTest, WritesThousandsOfSegmentsInOrder) {
  std::string all;
  // These are many more segments than one write takes.
  for (int i = 0; i < 5'000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    all += piece;
    AppendShared(queue_, std::make_shared<std::string>(piece));
  }
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), all);
}

TEST_F(OutputQueueTest, ForgetsWrittenSegmentsWhileOthersKeepComing) {
  // The queue is never quite empty: each flush leaves one byte.
  auto keeper = std::make_shared<std::string>("xy");
  ASSERT_TRUE(AppendShared(queue_, keeper));
  record_->Take(1);
  record_->Block();
  ASSERT_EQ(queue_.Flush(), Flushed::kBlocked);
  for (int i = 0; i < 5'000; ++i) {
    AppendShared(queue_, keeper);
    record_->Take(2);
    record_->Block();
    ASSERT_TRUE(queue_.Unblock());
    ASSERT_EQ(queue_.Flush(), Flushed::kBlocked);
    // One reference is the test's, one is in the segment that waits, and one in the segment that is
    // partly written. A queue that kept written segments would hold 5,000.
    ASSERT_LE(keeper.use_count(), 3);
    ASSERT_EQ(Queued(queue_), 1u);
  }
  ASSERT_TRUE(queue_.Unblock());
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written().size(), 2u * 5'001);
}

TEST_F(OutputQueueTest, TrimGivesBackTheTailOnlyWhenNothingIsQueued) {
  // Trim a queue without a tail, one whose tail holds a queued byte, and one whose tail is written.
  queue_.Trim();
  ASSERT_TRUE(Append(queue_, "x"));
  queue_.Trim();
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  queue_.Trim();
  ASSERT_TRUE(Append(queue_, "y"));
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "xy");
}

TEST_F(OutputQueueTest, AnAppenderDuringAWriteLeavesItToTheFlusher) {
  bool first = true;
  record_->in_write = [&] {
    if (std::exchange(first, false)) {
      // The flusher looks again before it leaves, so this appender need not flush.
      EXPECT_FALSE(Append(queue_, "during"));
    }
  };
  ASSERT_TRUE(Append(queue_, "before "));
  EXPECT_EQ(queue_.Flush(), Flushed::kAll);
  EXPECT_EQ(record_->written(), "before during");
  EXPECT_EQ(record_->writes(), 2);
}

// Fixed-size records: "<thread>:<number>;" with padding.
std::string Record(int thread, int number) {
  std::string text = std::to_string(thread) + ":" + std::to_string(number);
  text.resize(15, ' ');
  return text + ";";
}

TEST_F(OutputQueueTest, ManyAppendersEachFlushingWhatTheyClaimLoseNothing) {
  constexpr int kThreads = 4, kRecords = 2'000;
  // Writes of 1 to 40 bytes end inside records of 16, at their ends and behind several.
  for (int i = 0; i < 3'000; ++i) {
    record_->Take(static_cast<size_t>(i % 40 + 1));
    if (i % 16 == 0) record_->Block();
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRecords; ++i) {
        const bool claimed = i % 5 == 0
                                 ? AppendShared(queue_, std::make_shared<std::string>(Record(t, i)))
                                 : Append(queue_, Record(t, i));
        if (!claimed) continue;
        // The kernel has room again at once.
        while (queue_.Flush() == Flushed::kBlocked) {
          ASSERT_TRUE(queue_.Unblock());
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(Queued(queue_), 0u) << "whoever appended last saw to its flush";
  const std::string written = record_->written();
  ASSERT_EQ(written.size(), static_cast<size_t>(kThreads * kRecords * 16));
  std::vector<int> next(kThreads, 0);
  for (size_t at = 0; at < written.size(); at += 16) {
    const int thread = written[at] - '0';
    ASSERT_TRUE(thread >= 0 && thread < kThreads);
    // Each record is whole and comes in the order of its thread.
    ASSERT_EQ(written.substr(at, 16), Record(thread, next[thread]++));
  }
}

TEST_F(OutputQueueTest, CloseRacesWithAppendersAndFlushers) {
  for (int round = 0; round < 100; ++round) {
    auto record = std::make_shared<WriteRecord>();
    OutputQueue queue(std::make_unique<ScriptedTransport>(record));
    // The writes are short, so that the close often falls between two writes of one flush.
    for (int i = 0; i < 50; ++i) record->Take(3);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          if (Append(queue, "0123456789")) (void)queue.Flush();
        }
      });
    }
    threads.emplace_back([&] { queue.Close(); });
    for (std::thread& t : threads) t.join();
    EXPECT_TRUE(Closed(queue));
    EXPECT_TRUE(record->destroyed()) << "by the closer or by the last flusher";
    EXPECT_EQ(Queued(queue), 0u);
  }
}

}  // namespace
}  // namespace weft::internal
