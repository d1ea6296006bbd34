// The ceiling: a bare libevent echo of length-prefixed frames, on the I/O threads alone.
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <event2/event.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/loopback_socket.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/termination.h"
#include "bench/peers/raw/frame_block.h"
#include "bench/peers/raw/raw_loop.h"

namespace weft::bench {
namespace {

constexpr size_t kReadSize = size_t{64} << 10;
constexpr size_t kUnsentLimit = size_t{16} << 20;  // a connection that owes more is not read

// One socket. The bytes of one read are sent back as they stand, in one write.
//
// Threads  its loop's
// Owns     the socket and itself: it deletes itself when the peer goes away
class EchoConnection {
 public:
  EchoConnection(RawLoop& loop, int fd, Sleeper& sleeper)
      : fd_(fd),
        sleeper_(sleeper),
        input_(kReadSize),
        readable_(event_new(loop.base(), fd, EV_READ | EV_PERSIST, &OnReadable, this)),
        writable_(event_new(loop.base(), fd, EV_WRITE | EV_PERSIST, &OnWritable, this)) {
    event_add(readable_, nullptr);
  }

  EchoConnection(const EchoConnection&) = delete;
  EchoConnection& operator=(const EchoConnection&) = delete;

 private:
  ~EchoConnection() {
    event_free(readable_);
    event_free(writable_);
    close(fd_);
  }

  static void OnReadable(evutil_socket_t, short, void* self) {
    auto* connection = static_cast<EchoConnection*>(self);
    if (!connection->Read()) delete connection;
  }

  static void OnWritable(evutil_socket_t, short, void* self) {
    auto* connection = static_cast<EchoConnection*>(self);
    if (!connection->WriteUnsent()) delete connection;
  }

  // False: the connection is over.
  bool Read() {
    const ssize_t got = read(fd_, input_.tail(), input_.room());
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    input_.Filled(static_cast<size_t>(got));
    size_t whole, wanted;
    if (!input_.Measure(whole, wanted)) return false;
    if (sleeper_.enabled()) SleepForFrames(whole);
    if (whole > 0 && !Echo(whole, wanted)) return false;
    input_.Reserve(wanted);
    return true;
  }

  void SleepForFrames(size_t whole) {
    for (size_t at = 0; at < whole; at += kFramePrefix + FramePayload(input_.begin() + at)) {
      sleeper_.SleepIfDue();
    }
  }

  // Sends the first `whole` bytes of the input, keeping what the socket refuses.
  bool Echo(size_t whole, size_t wanted) {
    size_t sent = 0;
    if (unsent_.empty()) {
      const ssize_t wrote = write(fd_, input_.begin(), whole);
      if (wrote < 0 && errno != EAGAIN && errno != EINTR) return false;
      if (wrote > 0) sent = static_cast<size_t>(wrote);
    }
    input_.Take(sent);
    if (sent == whole) return true;
    // The block itself joins the queue; the frame that has only begun moves to another.
    const size_t rest = input_.size() - (whole - sent);
    FrameBlock next = FreshBlock(std::max(kReadSize, wanted));
    next.Append(input_.tail() - rest, rest);
    input_.Cut(rest);
    unsent_bytes_ += input_.size();
    unsent_.push_back(std::move(input_));
    input_ = std::move(next);
    UpdateInterest();
    return true;
  }

  bool WriteUnsent() {
    while (!unsent_.empty()) {
      iovec pieces[16];
      int count = 0;
      for (const FrameBlock& block : unsent_) {
        if (count == 16) break;
        pieces[count++] = {const_cast<char*>(block.begin()), block.size()};
      }
      const ssize_t wrote = writev(fd_, pieces, count);
      if (wrote < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN) break;
        return false;
      }
      unsent_bytes_ -= static_cast<size_t>(wrote);
      for (auto left = static_cast<size_t>(wrote); left > 0;) {
        const size_t part = std::min(left, unsent_.front().size());
        unsent_.front().Take(part);
        left -= part;
        if (unsent_.front().size() == 0) {
          if (spare_.size() < 4) spare_.push_back(std::move(unsent_.front()));
          unsent_.pop_front();
        }
      }
    }
    UpdateInterest();
    return true;
  }

  FrameBlock FreshBlock(size_t capacity) {
    if (!spare_.empty()) {
      FrameBlock block = std::move(spare_.back());
      spare_.pop_back();
      if (block.capacity() >= capacity) return block;
    }
    return FrameBlock(capacity);
  }

  void UpdateInterest() {
    Want(writable_, writing_, !unsent_.empty());
    Want(readable_, reading_, unsent_bytes_ < kUnsentLimit);
  }

  static void Want(event* interest, bool& have, bool want) {
    if (have == want) return;
    have = want;
    want ? event_add(interest, nullptr) : event_del(interest);
  }

  const int fd_;
  Sleeper& sleeper_;
  FrameBlock input_;
  std::deque<FrameBlock> unsent_;
  std::vector<FrameBlock> spare_;
  size_t unsent_bytes_ = 0;
  event* const readable_;
  event* const writable_;
  bool reading_ = true;
  bool writing_ = false;
};

// One loop in one thread, and the pipe through which sockets and the word to stop reach it.
//
// Threads  Give and Stop from any thread
// Owns     its thread
class IoThread {
 public:
  explicit IoThread(Sleeper& sleeper) : sleeper_(sleeper) {
    if (pipe2(pipe_, O_CLOEXEC) != 0) Fail("pipe2");
    arrival_ = event_new(loop_.base(), pipe_[0], EV_READ | EV_PERSIST, &OnArrival, this);
    event_add(arrival_, nullptr);
    thread_ = std::thread([this] { loop_.Run(); });
  }

  void Give(int fd) { Tell(fd); }

  void Stop() {
    Tell(kStop);
    thread_.join();
    event_free(arrival_);
  }

 private:
  static constexpr int kStop = -1;

  void Tell(int word) {
    if (write(pipe_[1], &word, sizeof word) != sizeof word) Fail("write to an I/O thread's pipe");
  }

  static void OnArrival(evutil_socket_t pipe, short, void* self) {
    auto* io = static_cast<IoThread*>(self);
    int word = kStop;
    if (read(pipe, &word, sizeof word) != sizeof word || word == kStop) {
      io->loop_.Stop();
    } else {
      new EchoConnection(io->loop_, word, io->sleeper_);
    }
  }

  Sleeper& sleeper_;
  RawLoop loop_;
  int pipe_[2] = {-1, -1};
  event* arrival_ = nullptr;
  std::thread thread_;
};

int Main(int argc, char** argv) {
  BlockTermination();
  Arguments arguments(argc, argv);
  const EchoServerOptions options(arguments);
  arguments.IgnoreUnread();

  Sleeper sleeper(options);
  std::vector<std::unique_ptr<IoThread>> threads;
  for (int i = 0; i < options.io_threads; ++i) {
    threads.push_back(std::make_unique<IoThread>(sleeper));
  }
  const int listener = Listen(options.port);
  std::thread([&] { AcceptForever(listener, threads); }).detach();
  AnnounceReady();
  WaitForTermination();
  for (auto& thread : threads) thread->Stop();
  _exit(0);  // the accepting thread still uses what a return would destroy
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
