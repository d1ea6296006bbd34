// Client of raw: blocking write and read for one caller, else one event loop for all connections.
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <event2/event.h>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/loopback_socket.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/raw/frame_block.h"
#include "bench/peers/raw/raw_loop.h"

namespace weft::bench {
namespace {

constexpr size_t kReadSize = size_t{64} << 10;

// K calls on one connection.
//
// The K requests lie ready in a ring and replies come in their order, so all that is known of the
// calls out is three counts. A call's place in the ring is its number modulo K; its bytes are its
// own again once its reply is there.
//
//   ring  | frame 0 | frame 1 | ... | frame K-1 |
//            finished_ ^   sent_ ^ (in bytes)   started_ ^
//
// Threads  its loop's
class Caller {
 public:
  Caller(EchoRun& run, int fd)
      : run_(run),
        fd_(fd),
        frame_(kFramePrefix + run.options().payload),
        depth_(static_cast<uint64_t>(run.options().inflight)),
        ring_(frame_ * depth_),
        starts_(depth_),
        input_(std::max(kReadSize, frame_)) {
    for (uint64_t i = 0; i < depth_; ++i) {
      char* frame = ring_.data() + i * frame_;
      WriteFramePrefix(frame, run.pattern().size());
      std::memcpy(frame + kFramePrefix, run.pattern().bytes().data(), run.pattern().size());
    }
  }

  int fd() const { return fd_; }
  uint64_t out() const { return started_ - finished_; }

  void StartAll() {
    for (uint64_t i = 0; i < depth_; ++i) StartOne(NowNanos());
  }

  // Each reply that a read brings is followed by a new call, which is queued and not yet sent.
  void Read(CallRecorder& recorder) {
    const ssize_t got = read(fd_, input_.tail(), input_.room());
    if (got <= 0) {
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      Fail(got == 0 ? "the server closed a connection" : std::string("read: ") + strerror(errno));
    }
    input_.Filled(static_cast<size_t>(got));
    size_t whole, wanted;
    if (!input_.Measure(whole, wanted)) Fail("a frame beyond the limit");
    const uint64_t now = whole > 0 ? NowNanos() : 0;
    while (whole > 0) {
      const size_t payload = FramePayload(input_.begin());
      if (out() == 0) Fail("a reply to no request");
      const bool good = recorder.Check(input_.begin() + kFramePrefix, payload, finished_);
      const uint64_t start = starts_[finished_ % depth_];
      ++finished_;
      if (recorder.Finish(start, now, good)) StartOne(now);
      input_.Take(kFramePrefix + payload);
      whole -= kFramePrefix + payload;
    }
    input_.Reserve(wanted);
  }

  // Sends what was started. True: all of it has left.
  bool Write() {
    const size_t end = static_cast<size_t>(started_) * frame_;
    while (sent_ < end) {
      const size_t at = sent_ % ring_.size();
      const size_t first = std::min(end - sent_, ring_.size() - at);
      const iovec pieces[] = {{ring_.data() + at, first}, {ring_.data(), end - sent_ - first}};
      const ssize_t wrote =
          pieces[1].iov_len == 0 ? write(fd_, pieces[0].iov_base, first) : writev(fd_, pieces, 2);
      if (wrote < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return false;
        Fail(std::string("write: ") + std::strerror(errno));
      }
      sent_ += static_cast<size_t>(wrote);
    }
    return true;
  }

 private:
  void StartOne(uint64_t now) {
    starts_[started_ % depth_] = now;
    run_.pattern().Stamp(ring_.data() + started_ % depth_ * frame_ + kFramePrefix, started_);
    ++started_;
  }

  EchoRun& run_;
  const int fd_;
  const size_t frame_;    // bytes of one
  const uint64_t depth_;  // K
  std::vector<char> ring_;
  std::vector<uint64_t> starts_;
  FrameBlock input_;
  uint64_t started_ = 0;
  uint64_t finished_ = 0;
  size_t sent_ = 0;  // bytes, since the beginning
};

// A Caller on the event loop.
//
// Threads  made on the main thread, then its loop's
class EventCaller {
 public:
  // `connections_left` counts down; whoever brings it to 0 stops the loop.
  EventCaller(EchoRun& run, RawLoop& loop, int& connections_left)
      : caller_(run, Dial(run.options().port)),
        loop_(loop),
        connections_left_(connections_left),
        readable_(event_new(loop.base(), caller_.fd(), EV_READ | EV_PERSIST, &OnReadable, this)),
        writable_(event_new(loop.base(), caller_.fd(), EV_WRITE, &OnWritable, this)) {
    SetNonBlocking(caller_.fd());
  }

  ~EventCaller() {
    event_free(readable_);
    event_free(writable_);
  }

  EventCaller(const EventCaller&) = delete;
  EventCaller& operator=(const EventCaller&) = delete;

  void Begin(CallRecorder& recorder) {
    recorder_ = &recorder;
    event_add(readable_, nullptr);
    caller_.StartAll();
    Flush();
  }

 private:
  static void OnReadable(evutil_socket_t, short, void* self) {
    auto* me = static_cast<EventCaller*>(self);
    me->caller_.Read(*me->recorder_);
    me->Flush();
    if (me->caller_.out() == 0 && --me->connections_left_ == 0) me->loop_.Stop();
  }

  static void OnWritable(evutil_socket_t, short, void* self) {
    static_cast<EventCaller*>(self)->Flush();
  }

  void Flush() {
    if (!caller_.Write()) event_add(writable_, nullptr);
  }

  Caller caller_;
  RawLoop& loop_;
  int& connections_left_;
  event* const readable_;
  event* const writable_;
  CallRecorder* recorder_ = nullptr;
};

int RunBlocking(EchoRun& run) {
  Caller caller(run, Dial(run.options().port));
  run.Start(1);
  std::thread thread([&] {
    CallRecorder& recorder = run.recorder();
    caller.StartAll();
    while (caller.out() > 0) {
      caller.Write();
      caller.Read(recorder);
    }
    run.PartyDone();
  });
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // the thread may still wait for a reply
  thread.join();
  return 0;
}

int RunLoop(EchoRun& run) {
  RawLoop loop;
  int connections_left = run.options().connections;
  std::vector<std::unique_ptr<EventCaller>> callers;
  for (int i = 0; i < run.options().connections; ++i) {
    callers.push_back(std::make_unique<EventCaller>(run, loop, connections_left));
  }
  run.Start(1);
  std::thread thread([&] {
    for (auto& caller : callers) caller->Begin(run.recorder());
    loop.Run();
    run.PartyDone();
  });
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // the loop may still wait for replies
  thread.join();
  return 0;
}

int Main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  arguments.IgnoreUnread();
  return run.options().IsOneCaller() ? RunBlocking(run) : RunLoop(run);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
