// A connection between a socket and its owner: frames in all splits, direct reads, slices that the
// owner keeps, ends of every kind, watermarks, and the handle that other threads hold.
#include "weft/core/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"
#include "weft/core/manual_clock.h"
#include "weft/core/plain_transport.h"

namespace weft::internal {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Frames of the tests:  [ payload size, 8 bytes ][ payload ]
constexpr size_t kHeader = 8;
// Payloads above this are read directly into the owner's memory.
constexpr size_t kDirectAbove = 1'000;

std::string Frame(size_t size, char first) {
  std::string frame(kHeader + size, '\0');
  const uint64_t n = size;
  std::memcpy(frame.data(), &n, sizeof n);
  for (size_t i = 0; i < size; ++i) frame[kHeader + i] = static_cast<char>(first + i % 61);
  return frame;
}

// Reads as its script says: at most so many bytes at a time, whatever the socket has.
class ChoppingTransport final : public Transport {
 public:
  ChoppingTransport(Socket socket, std::function<size_t()> next)
      : inner_(std::move(socket)), next_(std::move(next)) {}
  ssize_t Read(const iovec* pieces, int count) override {
    size_t most = next_();
    std::vector<iovec> chopped;
    for (int i = 0; i < count && most > 0; ++i) {
      chopped.push_back({pieces[i].iov_base, std::min(most, pieces[i].iov_len)});
      most -= chopped.back().iov_len;
    }
    return inner_.Read(chopped.data(), static_cast<int>(chopped.size()));
  }
  ssize_t Write(const iovec* pieces, int count) override { return inner_.Write(pieces, count); }
  void ShutDown() override { inner_.ShutDown(); }
  absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop& loop, WatchEvents* events) override {
    return inner_.NewWatch(loop, events);
  }
  bool AnyThreadMayWrite() const override { return true; }

 private:
  PlainTransport inner_;
  const std::function<size_t()> next_;
};

// An owner as small as can be, in place of a session: it cuts frames and keeps the slices of small
// ones.
class FrameOwner final : public ConnectionOwner {
 public:
  struct Kept {
    BlockRef block;
    const char* data;
    size_t size;
  };

  void OnDirect(size_t n) override {
    EXPECT_FALSE(ended_);
    large_filled_ += n;
    EXPECT_LE(large_filled_, large_.size());
    if (large_filled_ == large_.size()) {
      Deliver(large_);
      large_.clear();
    }
    if (on_direct) on_direct();
  }

  size_t OnBytes(const BlockRef& block, const char* data, size_t size, InputNeed* need) override {
    EXPECT_FALSE(ended_);
    EXPECT_EQ(need->direct_size, 0u) << "bytes although direct ones are outstanding";
    EXPECT_EQ(need->frame, 0u);
    EXPECT_GT(size, 0u);
    EXPECT_GE(data, block->data());
    EXPECT_LE(data + size, block->data() + block->capacity());
    if (on_bytes) on_bytes();
    size_t used = 0;
    while (!stop_cutting && size - used >= kHeader) {
      uint64_t payload;
      std::memcpy(&payload, data + used, sizeof payload);
      const size_t left = size - used - kHeader;
      if (payload > kDirectAbove && payload > left) {
        large_.assign(data + used + kHeader, left);
        large_.resize(payload);
        large_filled_ = left;
        need->direct = large_.data() + left;
        need->direct_size = payload - left;
        return size;
      }
      if (payload > left) {
        need->frame = kHeader + payload;
        break;
      }
      kept.push_back({block, data + used + kHeader, payload});
      Deliver(std::string(data + used + kHeader, payload));
      used += kHeader + payload;
    }
    if (says_header && size > used && size - used < kHeader) need->frame = kHeader;
    return used;
  }

  void OnReadEnd() override {
    EXPECT_FALSE(ended_);
    if (on_read_end) on_read_end();
  }

  void OnClosed(const absl::Status& reason, size_t pending) override {
    EXPECT_FALSE(ended_) << "twice";
    ended_ = true;
    left_over = pending;
    if (on_closed) on_closed();
    closed.Set(reason);
  }

  Watched<std::vector<std::string>> frames;
  Watched<std::optional<absl::Status>> closed;
  // The loop writes these; the test reads them once it has waited for the loop.
  std::deque<Kept> kept;
  size_t left_over = 0;
  bool stop_cutting = false;
  bool says_header = true;  // whether it says how much a split frame needs
  std::function<void()> on_bytes, on_direct, on_read_end, on_closed;
  std::function<void(const std::string&)> on_frame;

 private:
  void Deliver(const std::string& payload) {
    frames.Update([&](auto& v) { v.push_back(payload); });
    if (on_frame) on_frame(payload);
  }

  std::string large_;
  size_t large_filled_ = 0;
  bool ended_ = false;
};

// A connection on a loop's thread of its own, over one end of a socket pair; the test is the peer
// at the other. The connection is destroyed in a turn of the loop, as its contract demands.
class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() : thread_(LoopThread::Options()) {}
  // Runs the loop on `clock_`.
  explicit ConnectionTest(EventLoopOptions options)
      : thread_((options.clock = &clock_, std::move(options))) {}
  ~ConnectionTest() override { Forget(); }

  // Destroys the connection, in a turn of its own, and begins with a new owner.
  void Forget() {
    if (connection_ != nullptr) thread_.Run([this] { connection_.reset(); });
    owner_ = std::make_unique<FrameOwner>();
  }

  // A connection over one end of a socket pair; the test has the other.
  void Open(std::function<size_t()> chop = nullptr, int buffer = 0) {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    Socket here(fds[0]);
    peer_ = Socket(fds[1]);
    if (buffer > 0) ::setsockopt(here.fd(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    std::unique_ptr<Transport> transport;
    if (chop) {
      transport = std::make_unique<ChoppingTransport>(std::move(here), std::move(chop));
    } else {
      transport = std::make_unique<PlainTransport>(std::move(here));
    }
    handle_ =
        std::make_shared<ConnectionHandle>(thread_.shared_loop(), std::move(transport), "the test");
    thread_.Run([&] {
      connection_ = std::make_unique<Connection>(thread_.loop(), arena_, handle_, owner_.get());
      EXPECT_EQ(handle_->connection(), connection_.get());
      ASSERT_TRUE(connection_->Start().ok());
    });
  }

  // Sends all of `bytes` from the test's end, however long it takes.
  void Send(const std::string& bytes) {
    size_t sent = 0;
    ASSERT_TRUE(PollUntil([&] {
      const ssize_t n =
          ::send(peer_.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) sent += static_cast<size_t>(n);
      return sent == bytes.size();
    }));
  }
  // Reads `n` bytes at the test's end, or fewer if the connection ends.
  std::string Receive(size_t n) {
    std::string bytes;
    const bool done = PollUntil([&] {
      char buffer[65536];
      const ssize_t got = ::recv(peer_.fd(), buffer, std::min(sizeof buffer, n - bytes.size()), 0);
      if (got > 0) bytes.append(buffer, static_cast<size_t>(got));
      return bytes.size() == n || got == 0 || (got < 0 && errno != EAGAIN);
    });
    EXPECT_TRUE(done);
    return bytes;
  }
  // Appends `bytes` to the connection's output and has them flushed as `by` says.
  enum class By { kCaller, kLoop, kNobody };
  void Append(const std::string& bytes, By by = By::kCaller) {
    bool claimed;
    {
      MutexLock lock(handle_->output().mutex());
      char* room = handle_->output().Reserve(bytes.size());
      std::memcpy(room, bytes.data(), bytes.size());
      handle_->output().Commit(bytes.size());
      claimed = by != By::kNobody && handle_->output().Claim();
    }
    if (!claimed) return;
    by == By::kCaller ? handle_->FlushNow() : handle_->FlushOnLoop();
  }
  size_t Queued() {
    MutexLock lock(handle_->output().mutex());
    return handle_->output().queued();
  }
  [[nodiscard]] bool AwaitFrames(size_t n) {
    return owner_->frames.WaitFor([n](const auto& v) { return v.size() >= n; });
  }
  [[nodiscard]] bool AwaitClosed() {
    return owner_->closed.WaitFor([](const auto& c) { return c.has_value(); });
  }
  // Fails if bytes that somebody still holds were overwritten.
  void ExpectKeptSlicesUnchanged() {
    thread_.Run([&] {
      const std::vector<std::string> frames = owner_->frames.Get();
      size_t i = 0;
      for (const FrameOwner::Kept& kept : owner_->kept) {
        while (i < frames.size() && frames[i].size() != kept.size) ++i;
        ASSERT_LT(i, frames.size());
        ASSERT_EQ(std::string(kept.data, kept.size), frames[i++]);
      }
    });
  }

  ManualClock clock_;
  BlockPool blocks_;
  InputArena arena_{blocks_};
  std::unique_ptr<FrameOwner> owner_ = std::make_unique<FrameOwner>();
  LoopThread thread_;
  Socket peer_;
  std::shared_ptr<ConnectionHandle> handle_;
  std::unique_ptr<Connection> connection_;
};

// ---- Reading

TEST_F(ConnectionTest, CutsFramesSplitAtEveryByteBoundary) {
  // The last payload is one that the owner reads directly; an empty one is a header alone.
  const std::vector<size_t> sizes = {0, 1, 30, 200, 0, 2'000};
  std::string bytes;
  for (size_t i = 0; i < sizes.size(); ++i) bytes += Frame(sizes[i], static_cast<char>('A' + i));
  for (size_t i = 1; i < 2 * bytes.size(); ++i) {
    if (i == bytes.size()) continue;
    // Try each boundary twice: an owner may say how long the frame of a split header is, or leave
    // it open.
    owner_->says_header = i < bytes.size();
    const size_t split = i % bytes.size();
    // The first read ends at the split; then everything comes at once.
    bool first = true;
    Open([&first, split] { return std::exchange(first, false) ? split : size_t{1} << 20; });
    Send(bytes);
    ASSERT_TRUE(AwaitFrames(sizes.size())) << split;
    const auto frames = owner_->frames.Get();
    ASSERT_EQ(frames.size(), sizes.size());
    for (size_t k = 0; k < sizes.size(); ++k) {
      ASSERT_EQ(frames[k], Frame(sizes[k], static_cast<char>('A' + k)).substr(kHeader)) << split;
    }
    Forget();
  }
}

TEST_F(ConnectionTest, CopiesOnlyTheFrameThatASplitGoesThrough) {
  constexpr size_t kFrames = 100;
  std::string bytes;
  for (size_t i = 0; i < kFrames; ++i) bytes += Frame(34, 'a');
  // The splits go through every byte of the first two frames.
  for (size_t split = 1; split < 2 * (kHeader + 34); ++split) {
    bool first = true;
    Open([&first, split] { return std::exchange(first, false) ? split : size_t{1} << 20; });
    Send(bytes);
    ASSERT_TRUE(AwaitFrames(kFrames)) << split;
    thread_.Run([&] {
      // The arena may have begun another block between the two reads.
      const char* const last = owner_->kept.back().block->data();
      EXPECT_LE(std::ranges::count_if(owner_->kept,
                                      [&](const auto& kept) { return kept.block->data() != last; }),
                2)
          << split;
    });
    Forget();
  }
}

TEST_F(ConnectionTest, CutsFramesThatComeByteByByte) {
  Open([] { return size_t{1}; });
  std::string bytes;
  // 1,500 is above what is read directly: it is read into the owner's memory a byte at a time.
  for (size_t size : {0, 5, 70, 1'500, 3}) bytes += Frame(size, 'a');
  Send(bytes);
  ASSERT_TRUE(AwaitFrames(5));
  thread_.Run([&] { EXPECT_EQ(connection_->bytes_read(), bytes.size()); });
  ExpectKeptSlicesUnchanged();
}

TEST_F(ConnectionTest, CutsRandomFramesInRandomPieces) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    auto random = std::make_shared<std::mt19937>(seed);
    Open([random] { return size_t{1} + (*random)() % ((*random)() % 3 == 0 ? 100'000 : 90); });
    std::mt19937 sizes(seed * 7'919);
    std::string bytes;
    std::vector<std::string> expected;
    for (int i = 0; i < 150; ++i) {
      // Most fit into a read, some are around the size that is read directly, and a few are larger
      // than the arena's block.
      const size_t size = sizes() % (sizes() % 12 == 0 ? 200'000 : sizes() % 5 == 0 ? 3'000 : 150);
      const std::string frame = Frame(size, static_cast<char>('0' + i % 40));
      expected.push_back(frame.substr(kHeader));
      bytes += frame;
    }
    Send(bytes);
    ASSERT_TRUE(AwaitFrames(expected.size())) << seed;
    ASSERT_EQ(owner_->frames.Get(), expected) << seed;
    ExpectKeptSlicesUnchanged();
    Forget();
  }
}

// The owner is slow with its input, as inline handlers may be. The loop must still let other work
// have its turn.
TEST_F(ConnectionTest, ReadsNoLongerThanItsTimeInATurn) {
  Open();
  int reads = 0;
  Watched<int> reads_before_others{0};
  owner_->on_bytes = [&] {
    if (++reads == 1) {
      thread_.loop().Post([&](TaskFate) { reads_before_others.Set(reads); });
    }
    // Twice the time that a connection has in a turn, so that one read is enough to use it up.
    const auto until = std::chrono::steady_clock::now() + milliseconds(2);
    while (std::chrono::steady_clock::now() < until) {
    }
  };
  size_t frames = 0;
  thread_.Run([&] {
    // Fill the socket in a turn of the loop, so that all of it is there when the loop looks at the
    // socket.
    const std::string frame = Frame(900, 'a');
    int buffer = 1 << 20;
    ::setsockopt(peer_.fd(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    while (frames < 300 &&
           ::send(peer_.fd(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
               static_cast<ssize_t>(frame.size())) {
      ++frames;
    }
  });
  // These frames are more than two reads bring: each read takes 64 KiB at most.
  ASSERT_GT(frames, 180u);
  ASSERT_TRUE(AwaitFrames(frames));
  ASSERT_TRUE(reads_before_others.WaitFor([](int n) { return n > 0; }));
  EXPECT_LT(reads_before_others.Get(), reads);
}

TEST_F(ConnectionTest, ReadsALargePayloadIntoTheOwnersMemory) {
  Open();
  int directs = 0;
  owner_->on_direct = [&] { ++directs; };
  const std::string frame = Frame(3'000'000, 'L');
  Send(frame + Frame(3, 'z'));
  ASSERT_TRUE(AwaitFrames(2));
  EXPECT_EQ(owner_->frames.Get()[0], frame.substr(kHeader));
  EXPECT_EQ(owner_->frames.Get()[1].size(), 3u);
  EXPECT_GT(directs, 0);
}

// The header comes in two reads. The second of them also brings the beginning of a payload that the
// owner wants to read directly.
TEST_F(ConnectionTest, GivesDirectMemoryWhatCameWithTheEndOfASplitHeader) {
  for (size_t first = 1; first < kHeader; ++first) {
    int reads = 0;
    Open([&reads, first] {
      ++reads;
      return reads == 1 ? first : reads == 2 ? size_t{40'000} : size_t{7'000};
    });
    const std::string frame = Frame(50'000, 'D');
    Send(frame + Frame(2, 'e'));
    ASSERT_TRUE(AwaitFrames(2)) << first;
    EXPECT_EQ(owner_->frames.Get()[0], frame.substr(kHeader));
    Forget();
  }
}

TEST_F(ConnectionTest, LeavesSlicesAloneThatTheOwnerKept) {
  Open();
  // Each frame comes in a read of its own, into the bytes behind the ones that are kept; together
  // they need several blocks of the arena.
  for (int i = 0; i < 300; ++i) {
    Send(Frame(static_cast<size_t>(i) * 3, static_cast<char>('a' + i % 26)));
    ASSERT_TRUE(AwaitFrames(static_cast<size_t>(i) + 1));
  }
  ExpectKeptSlicesUnchanged();
}

// A connection is closed while it cuts frames. Its slices must stay as they are when a neighbour
// reads next.
TEST_F(ConnectionTest, LeavesSlicesAloneThatWereKeptByOneThatClosedInside) {
  Open();
  owner_->on_frame = [&](const std::string&) {
    owner_->stop_cutting = true;
    connection_->Close(absl::CancelledError("enough"));
  };
  Send(Frame(100, 'K'));
  ASSERT_TRUE(AwaitClosed());
  ASSERT_EQ(owner_->kept.size(), 1u);
  thread_.Run([&] { connection_.reset(); });

  // All connections of a loop share the arena. If the closed connection had not released its bytes
  // there, the neighbour's bytes would be written over them.
  const FrameOwner::Kept kept = owner_->kept[0];
  FrameOwner neighbour;
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  const Socket there(fds[1]);
  auto handle = std::make_shared<ConnectionHandle>(
      thread_.shared_loop(), std::make_unique<PlainTransport>(Socket(fds[0])), "neighbour");
  std::unique_ptr<Connection> other;
  thread_.Run([&] {
    other = std::make_unique<Connection>(thread_.loop(), arena_, handle, &neighbour);
    ASSERT_TRUE(other->Start().ok());
  });
  const std::string frame = Frame(500, '!');
  ASSERT_EQ(::write(there.fd(), frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  ASSERT_TRUE(neighbour.frames.WaitFor([](const auto& v) { return v.size() == 1; }));
  thread_.Run([&] {
    EXPECT_EQ(std::string(kept.data, kept.size), Frame(100, 'K').substr(kHeader));
    other.reset();
  });
}

TEST_F(ConnectionTest, TellsTheEndOfEachReadAfterItsBytes) {
  Open();
  std::vector<std::string> order;
  owner_->on_frame = [&](const std::string&) { order.push_back("frame"); };
  Notification ended;
  owner_->on_read_end = [&] {
    order.push_back("end");
    ended.Notify();
  };
  Send(Frame(3, 'a') + Frame(3, 'b'));
  ASSERT_TRUE(ended.Wait());
  thread_.Run([&] { EXPECT_EQ(order, (std::vector<std::string>{"frame", "frame", "end"})); });
}

// ---- Ends

TEST_F(ConnectionTest, AnOrderlyEndIsOkAndTellsHowMuchWasLeftOver) {
  Open();
  // The end comes after 50 bytes of a frame of 108.
  Send(Frame(10, 'a') + Frame(100, 'b').substr(0, 50));
  ASSERT_TRUE(AwaitFrames(1));
  peer_.Close();
  ASSERT_TRUE(AwaitClosed());
  EXPECT_TRUE(owner_->closed.Get()->ok());
  EXPECT_EQ(owner_->left_over, 50u);
  thread_.Run([&] {
    EXPECT_TRUE(connection_->closed());
    EXPECT_EQ(handle_->connection(), nullptr);
  });
}

TEST_F(ConnectionTest, AnEndBetweenFramesLeavesNothingOver) {
  Open();
  Send(Frame(10, 'a'));
  peer_.Close();
  ASSERT_TRUE(AwaitClosed());
  EXPECT_TRUE(owner_->closed.Get()->ok());
  EXPECT_EQ(owner_->left_over, 0u);
  EXPECT_EQ(owner_->frames.Get().size(), 1u) << "what came before the end is given out";
}

TEST_F(ConnectionTest, AReadErrorNamesCallPeerAndErrno) {
  // The peer resets its TCP connection.
  Socket listener = *Socket::Listen(*SocketAddress::Parse("127.0.0.1:0"), 1);
  bool connected = false;
  Socket client = *Socket::StartConnect(*listener.LocalAddress(), &connected);
  int accepted = -1;
  ASSERT_TRUE(PollUntil([&] {
    accepted = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    return accepted >= 0;
  }));
  handle_ = std::make_shared<ConnectionHandle>(
      thread_.shared_loop(), std::make_unique<PlainTransport>(std::move(client)), "10.9.8.7:6");
  thread_.Run([&] {
    connection_ = std::make_unique<Connection>(thread_.loop(), arena_, handle_, owner_.get());
    ASSERT_TRUE(connection_->Start().ok());
  });
  // A linger time of 0 makes close() send a reset instead of an orderly end.
  linger abrupt{1, 0};
  ::setsockopt(accepted, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
  ::close(accepted);
  ASSERT_TRUE(AwaitClosed());
  const std::string message(owner_->closed.Get()->message());
  EXPECT_NE(message.find("read: Connection reset"), std::string::npos) << message;
}

TEST_F(ConnectionTest, CloseTellsTheOwnerOnceBeforeItReturns) {
  Open();
  thread_.Run([&] {
    connection_->Close(absl::AbortedError("first"));
    EXPECT_TRUE(owner_->closed.Get().has_value());
    connection_->Close(absl::AbortedError("second"));
    connection_->CloseAfterFlush(absl::AbortedError("third"), seconds(1));
  });
  EXPECT_EQ(owner_->closed.Get()->message(), "first");
  // Another thread may write at any time: its bytes are dropped.
  Append("too late");
  EXPECT_EQ(Receive(1), "") << "the socket is closed";
}

TEST_F(ConnectionTest, MayBeClosedInEachCallback) {
  enum class Where { kBytes, kFrame, kDirect, kReadEnd, kClosed };
  for (const Where where :
       {Where::kBytes, Where::kFrame, Where::kDirect, Where::kReadEnd, Where::kClosed}) {
    SCOPED_TRACE(static_cast<int>(where));
    const auto close = [&] {
      owner_->stop_cutting = true;
      connection_->Close(absl::CancelledError("inside"));
    };
    switch (where) {
      case Where::kBytes:
        owner_->on_bytes = close;
        break;
      case Where::kFrame:
        owner_->on_frame = [&](const std::string&) { close(); };
        break;
      case Where::kDirect:
        owner_->on_direct = close;
        break;
      case Where::kReadEnd:
        owner_->on_read_end = close;
        break;
      case Where::kClosed:
        owner_->on_bytes = owner_->on_closed = close;
        break;
    }
    Open();
    // The bytes are enough that a part of the payload is read directly. The connection may close
    // before it has taken all of them.
    const std::string bytes =
        (where == Where::kDirect ? "" : Frame(10, 'a')) + Frame(400'000, 'b') + Frame(10, 'c');
    size_t sent = 0;
    ASSERT_TRUE(PollUntil([&] {
      const ssize_t n = ::send(peer_.fd(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      return sent == bytes.size() || (n < 0 && errno != EAGAIN);
    }));
    ASSERT_TRUE(AwaitClosed());
    EXPECT_EQ(owner_->closed.Get()->message(), "inside");
    // The owner fails the test when a callback follows the end.
    thread_.Settle();
    Forget();
  }
}

TEST_F(ConnectionTest, DestroyedWithoutAnEndItTellsNobody) {
  Open();
  thread_.Run([&] { connection_.reset(); });
  EXPECT_FALSE(owner_->closed.Get().has_value());
  thread_.Run([&] { EXPECT_EQ(handle_->connection(), nullptr); });
  // The handle is still there, and its output is closed.
  Append("dropped");
  EXPECT_EQ(Receive(1), "");
}

// ---- Writing

TEST_F(ConnectionTest, WritesFromTheCallersThreadAndFromItsLoop) {
  Open();
  Append("now ", By::kCaller);
  EXPECT_EQ(Receive(4), "now ");
  Append("later", By::kLoop);
  EXPECT_EQ(Receive(5), "later");
  // Both are written together, at the end of this turn.
  thread_.Run([&] {
    Append("a", By::kLoop);
    Append("b", By::kLoop);
    EXPECT_EQ(Queued(), 2u) << "at the turn's end";
  });
  EXPECT_EQ(Receive(2), "ab");
}

TEST_F(ConnectionTest, GoesOnWhenThePeerReadsAgain) {
  // 2 MB against a buffer of a few KiB: writes are blocked again and again, on either thread.
  Open(nullptr, 4'096);
  std::string all;
  for (int i = 0; i < 200; ++i) {
    const std::string piece(10'000, static_cast<char>('a' + i % 26));
    all += piece;
    Append(piece, i % 2 == 0 ? By::kCaller : By::kLoop);
  }
  EXPECT_GT(Queued(), 0u);
  EXPECT_EQ(Receive(all.size()), all);
  EXPECT_EQ(Queued(), 0u);
}

TEST_F(ConnectionTest, ManyThreadsWriteWhileThePeerReadsSlowly) {
  Open(nullptr, 4'096);
  constexpr int kThreads = 3, kRecords = 1'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRecords; ++i) {
        std::string record(99, static_cast<char>('0' + t));
        record += ';';
        Append(record, i % 3 == 0 ? By::kLoop : By::kCaller);
      }
    });
  }
  const std::string all = Receive(static_cast<size_t>(kThreads * kRecords * 100));
  for (std::thread& t : threads) t.join();
  ASSERT_EQ(all.size(), static_cast<size_t>(kThreads * kRecords * 100));
  for (size_t at = 0; at < all.size(); at += 100) {
    // A record that another thread's bytes had cut would not be whole here.
    ASSERT_EQ(all.substr(at, 100), std::string(99, all[at]) + ';');
  }
}

TEST_F(ConnectionTest, AWriteErrorEndsItAndNamesTheStep) {
  Open();
  // In one turn of the loop: the write meets the closed peer before a read can see the end of file.
  thread_.Run([&] {
    peer_.Close();
    Append("nobody reads this", By::kCaller);
  });
  ASSERT_TRUE(AwaitClosed());
  const absl::Status reason = *owner_->closed.Get();
  if (!reason.ok()) {
    EXPECT_NE(reason.message().find("write: "), absl::string_view::npos) << reason;
  }
}

TEST_F(ConnectionTest, AWriteErrorOnAnotherThreadEndsItToo) {
  Open();
  // Reading is paused above one unsent byte, so that only the write can notice the end.
  thread_.Run([&] { connection_->PauseReadsAbove(0, 1); });
  Append(std::string(8 << 20, 'x'));  // more than fits, so the write is blocked
  thread_.Settle();
  peer_.Close();
  ASSERT_TRUE(AwaitClosed());
  EXPECT_NE(owner_->closed.Get()->message().find("write: "), absl::string_view::npos)
      << *owner_->closed.Get();
  // The test looks at the code only, which is the same for every errno.
  EXPECT_TRUE(absl::IsUnavailable(*owner_->closed.Get())) << *owner_->closed.Get();
}

TEST_F(ConnectionTest, ThatWasToEndAnywayKeepsItsReasonWhenItsLastWordsFail) {
  Open();
  Append(std::string(8 << 20, 'x'));  // more than fits
  thread_.Settle();
  thread_.Run([&] { connection_->CloseAfterFlush(absl::AbortedError("its reason"), hours(1)); });
  // The write that waits for room fails now.
  peer_.Close();
  ASSERT_TRUE(AwaitClosed());
  EXPECT_EQ(*owner_->closed.Get(), absl::AbortedError("its reason"));
}

TEST_F(ConnectionTest, PausesReadingAboveTheWatermark) {
  Open(nullptr, 4'096);
  thread_.Run([&] { connection_->PauseReadsAbove(1'000, 100'000); });
  Append(std::string(1'000'000, 'o'));
  thread_.Settle();
  Send(Frame(5, 'a'));
  thread_.Settle();
  EXPECT_EQ(owner_->frames.Get().size(), 0u) << "who does not read is not read from";
  EXPECT_EQ(Receive(1'000'000).size(), 1'000'000u);
  EXPECT_TRUE(AwaitFrames(1));
}

TEST_F(ConnectionTest, NoLongerPausesWhenTheMarksAreTakenAway) {
  Open(nullptr, 4'096);
  thread_.Run([&] { connection_->PauseReadsAbove(10, 20); });
  Append(std::string(1'000'000, 'o'));
  thread_.Settle();
  Send(Frame(5, 'a'));
  thread_.Settle();
  EXPECT_EQ(owner_->frames.Get().size(), 0u);
  // The output is as full as before.
  thread_.Run([&] { connection_->PauseReadsAbove(0, 0); });
  EXPECT_TRUE(AwaitFrames(1));
}

// ---- CloseAfterFlush

TEST_F(ConnectionTest, CloseAfterFlushWithNothingQueuedClosesAtOnce) {
  Open();
  thread_.Run([&] {
    connection_->CloseAfterFlush(absl::UnavailableError("going"), seconds(1));
    EXPECT_TRUE(connection_->closed());
  });
  EXPECT_EQ(owner_->closed.Get()->message(), "going");
}

TEST_F(ConnectionTest, CloseAfterFlushWritesFirst) {
  // The output is idle, blocked behind a flush of this thread's, or behind one of the loop's.
  for (const By by : {By::kNobody, By::kCaller, By::kLoop}) {
    Open(nullptr, 4'096);
    const std::string last(500'000, 'l');
    Append(last, by);
    thread_.Run([&] {
      connection_->CloseAfterFlush(absl::UnavailableError("going"), hours(1));
      // The second call must change neither reason nor limit.
      connection_->CloseAfterFlush(absl::UnavailableError("again"), Nanos::zero());
      EXPECT_FALSE(connection_->closed());
    });
    EXPECT_EQ(Receive(last.size() + 1), last) << "all of it, and then the end";
    ASSERT_TRUE(AwaitClosed());
    EXPECT_EQ(owner_->closed.Get()->message(), "going");
    Forget();
  }
}

TEST_F(ConnectionTest, ReadsNoMoreOnceItClosesAfterItsFlush) {
  Open(nullptr, 4'096);
  thread_.Run([&] { connection_->PauseReadsAbove(1'000, 10'000); });
  Append(std::string(500'000, 'l'));
  thread_.Settle();
  Send(Frame(5, 'a'));
  thread_.Run([&] { connection_->CloseAfterFlush(absl::UnavailableError("going"), hours(1)); });
  // A pause alone would end here, and the frame would be read.
  Receive(499'000);  // below the low mark
  thread_.Settle();
  EXPECT_EQ(owner_->frames.Get().size(), 0u);
  Receive(1'001);
  ASSERT_TRUE(AwaitClosed());
  EXPECT_EQ(owner_->frames.Get().size(), 0u);
}

TEST_F(ConnectionTest, ClosesAfterAFlushThatAnotherThreadFinishes) {
  // This is a race: the loop finds that the output is not empty, and leaves the end to the thread
  // that flushes it. If that thread did not report its end, the connection would stay for an hour.
  // The window is small, so there are many rounds.
  for (int round = 0; round < 200; ++round) {
    Open();
    std::thread writer([&] {
      for (int i = 0; i < 20; ++i) Append("0123456789");
    });
    thread_.Run([&] { connection_->CloseAfterFlush(absl::UnavailableError("going"), hours(1)); });
    ASSERT_TRUE(AwaitClosed()) << round;
    writer.join();
    EXPECT_EQ(Receive(1'000).size() % 10, 0u) << "no append is cut";
    Forget();
  }
}

// The same fixture on the manual clock, for behaviour that depends on time.
class ConnectionOnManualClock : public ConnectionTest {
 protected:
  ConnectionOnManualClock() : ConnectionTest(LoopThread::Options()) {}
};

TEST_F(ConnectionOnManualClock, CloseAfterFlushGivesUpAfterItsLimit) {
  Open(nullptr, 4'096);
  Append(std::string(1'000'000, 'l'));
  thread_.Run([&] { connection_->CloseAfterFlush(absl::UnavailableError("going"), seconds(2)); });
  clock_.Advance(seconds(2) - Nanos(1));
  thread_.Settle();
  EXPECT_FALSE(owner_->closed.Get().has_value());
  clock_.Advance(Nanos(1));
  thread_.Settle();
  ASSERT_TRUE(owner_->closed.Get().has_value());
  EXPECT_EQ(owner_->closed.Get()->message(), "going");
}

TEST_F(ConnectionOnManualClock, RemembersWhenItReadLast) {
  Open();
  const MonoTime start = clock_.Now();
  thread_.Run([&] { EXPECT_EQ(connection_->last_read(), start); });
  clock_.Advance(seconds(5));
  Send(Frame(1, 'a'));
  ASSERT_TRUE(AwaitFrames(1));
  thread_.Run([&] { EXPECT_EQ(connection_->last_read(), start + seconds(5)); });
}

// ---- The handle

TEST_F(ConnectionTest, AHandleOutlivesItsConnectionAndItsLoop) {
  Open();
  thread_.Run([&] { connection_.reset(); });
  thread_.Stop();
  Append("dropped", By::kCaller);
  // The closed loop cancels the flush that is posted to it.
  Append("dropped", By::kLoop);
  EXPECT_EQ(handle_->peer(), "the test");
}

TEST_F(ConnectionTest, AFlushQueuedWhileTheLoopClosesLetsGoOfItsHandle) {
  Open();
  // A flush that waits in the loop holds its own handle. If the closing loop dropped the flush
  // without telling it, the handle would never be destroyed.
  const std::weak_ptr<ConnectionHandle> watch = handle_;
  thread_.Run([&] {
    thread_.loop().Stop();
    Append("at the end of a turn that is the last", By::kLoop);
    connection_.reset();
  });
  thread_.Stop();
  Append("after the last", By::kLoop);
  handle_.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(ConnectionHandle, LeavesTheWriteToTheLoopWhereOnlyThatMayWrite) {
  // TLS behaves like this: its library allows one thread at a time.
  class LoopOnlyTransport final : public Transport {
   public:
    explicit LoopOnlyTransport(Watched<std::thread::id>* writer) : writer_(writer) {}
    ssize_t Read(const iovec*, int) override {
      errno = EAGAIN;
      return -1;
    }
    ssize_t Write(const iovec* pieces, int count) override {
      ssize_t n = 0;
      for (int i = 0; i < count; ++i) n += static_cast<ssize_t>(pieces[i].iov_len);
      writer_->Set(std::this_thread::get_id());
      return n;
    }
    void ShutDown() override {}
    absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop&, WatchEvents*) override {
      return absl::UnimplementedError("nobody watches it");
    }
    bool AnyThreadMayWrite() const override { return false; }

   private:
    Watched<std::thread::id>* const writer_;
  };
  LoopThread thread;
  std::thread::id loop_id;
  thread.Run([&] { loop_id = std::this_thread::get_id(); });
  Watched<std::thread::id> writer;
  auto handle = std::make_shared<ConnectionHandle>(
      thread.shared_loop(), std::make_unique<LoopOnlyTransport>(&writer), "x");
  {
    MutexLock lock(handle->output().mutex());
    handle->output().Reserve(1)[0] = 'x';
    handle->output().Commit(1);
    ASSERT_TRUE(handle->output().Claim());
  }
  handle->FlushNow();
  ASSERT_TRUE(writer.WaitFor([](const std::thread::id& id) { return id != std::thread::id(); }));
  EXPECT_EQ(writer.Get(), loop_id);
  thread.Settle();
}

}  // namespace
}  // namespace weft::internal
