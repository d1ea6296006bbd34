// Client of thrift: the generated blocking client for one caller; else one epoll loop that keeps K
// calls in flight on each connection with the generated send_Echo and recv_Echo.
//
// Thrift has no names for calls on the wire, so replies come in the order of the requests.
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include "EchoService.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/loopback_socket.h"
#include "bench/peers/common/monotonic_clock.h"

namespace weft::bench {
namespace {

using apache::thrift::TException;
using apache::thrift::protocol::TBinaryProtocolT;
using apache::thrift::transport::TBufferedTransport;
using apache::thrift::transport::TFramedTransport;
using apache::thrift::transport::TMemoryBuffer;
using apache::thrift::transport::TSocket;
using apache::thrift::transport::TTransport;

constexpr uint32_t kPrefix = 4;  // the framed transport's length, big endian
constexpr uint32_t kReadSize = 64 << 10;
constexpr uint32_t kFrameLimit = 80 << 20;

// K calls on one connection: many frames to a read and to a write.
//
// Threads  made on the main thread, then its loop's
class Pipeline {
 public:
  explicit Pipeline(EchoRun& run)
      : run_(run),
        fd_(Dial(run.options().port)),
        client_(std::make_shared<Protocol>(input_), std::make_shared<Protocol>(output_)),
        payload_(run.pattern().bytes()),
        starts_(static_cast<size_t>(run.options().inflight)) {
    SetNonBlocking(fd_);
  }

  int fd() const { return fd_; }
  uint64_t out() const { return started_ - finished_; }

  void Begin() {
    for (size_t i = 0; i < starts_.size(); ++i) StartOne(NowNanos());
  }

  // Each reply that a read brings is followed by a new call, which is queued and not yet sent.
  void Read(CallRecorder& recorder) {
    const uint32_t wanted = std::max(kReadSize, missing_);
    const ssize_t got = read(fd_, input_->getWritePtr(wanted), wanted);
    if (got <= 0) {
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      Fail(got == 0 ? "the server closed a connection" : std::string("read: ") + strerror(errno));
    }
    input_->wroteBytes(static_cast<uint32_t>(got));
    missing_ = 0;
    bool took = false;
    uint64_t now = 0;
    while (input_->available_read() >= kPrefix) {
      const uint32_t frame = PeekLength();
      if (input_->available_read() < kPrefix + frame) {
        missing_ = kPrefix + frame - input_->available_read();
        break;
      }
      if (now == 0) now = NowNanos();
      FinishOne(recorder, frame, now);
      took = true;
    }
    if (took) MoveRestToFront(*input_);
  }

  // Sends what was started. True: all of it has left.
  bool Write() {
    while (const uint32_t unsent = output_->available_read()) {
      const ssize_t wrote = write(fd_, Front(*output_), unsent);
      if (wrote < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) Fail(std::string("write: ") + std::strerror(errno));
        if (sent_ > unsent) MoveRestToFront(*output_);
        break;
      }
      output_->consume(static_cast<uint32_t>(wrote));
      sent_ += static_cast<uint32_t>(wrote);
    }
    // A message ends here, as far as Thrift's limit to its size is concerned.
    const bool all = output_->available_read() == 0;
    output_->readEnd();
    if (all) sent_ = 0;
    return all;
  }

 private:
  // The buffer's type is known to the protocol, so that reading and writing are inlined.
  using Protocol = TBinaryProtocolT<TMemoryBuffer>;

  // All that may be read of a buffer that is not empty. A borrow is also what permits a consume.
  static const uint8_t* Front(TMemoryBuffer& buffer) {
    uint32_t all = buffer.available_read();
    return buffer.borrow(nullptr, &all);
  }

  uint32_t PeekLength() {
    uint32_t length;
    std::memcpy(&length, Front(*input_), kPrefix);
    length = ntohl(length);
    if (length > kFrameLimit) Fail("a frame beyond the limit");
    return length;
  }

  void StartOne(uint64_t now) {
    run_.pattern().Stamp(payload_.data(), started_);
    const uint32_t before = output_->available_read();
    const uint32_t none = 0;
    output_->write(reinterpret_cast<const uint8_t*>(&none), kPrefix);
    client_.send_Echo(payload_);
    const uint32_t length = htonl(output_->available_read() - before - kPrefix);
    std::memcpy(const_cast<uint8_t*>(Front(*output_)) + before, &length, kPrefix);
    starts_[started_ % starts_.size()] = now;
    ++started_;
  }

  void FinishOne(CallRecorder& recorder, uint32_t frame, uint64_t now) {
    if (out() == 0) Fail("a reply to no request");
    const uint32_t after = input_->available_read() - kPrefix - frame;
    input_->consume(kPrefix);
    bool good = false;
    try {
      client_.recv_Echo(reply_);
      good = input_->available_read() == after &&
             recorder.Check(reply_.data(), reply_.size(), finished_);
    } catch (const TException& error) {
      std::fprintf(stderr, "recv_Echo: %s\n", error.what());
    }
    if (input_->available_read() > after) {  // the reply did not take its whole frame
      Front(*input_);
      input_->consume(input_->available_read() - after);
    }
    const uint64_t start = starts_[finished_ % starts_.size()];
    ++finished_;
    if (recorder.Finish(start, now, good)) StartOne(now);
  }

  // A TMemoryBuffer takes its front back only when it is empty, so it would grow without end.
  void MoveRestToFront(TMemoryBuffer& buffer) {
    const uint32_t rest = buffer.available_read();
    if (rest > 0) spare_.assign(reinterpret_cast<const char*>(Front(buffer)), rest);
    buffer.resetBuffer();
    if (rest > 0) buffer.write(reinterpret_cast<const uint8_t*>(spare_.data()), rest);
    if (&buffer == output_.get()) sent_ = 0;
  }

  EchoRun& run_;
  const int fd_;
  const std::shared_ptr<TMemoryBuffer> input_ = std::make_shared<TMemoryBuffer>(kReadSize);
  const std::shared_ptr<TMemoryBuffer> output_ = std::make_shared<TMemoryBuffer>(kReadSize);
  thrift_echo::EchoServiceClientT<Protocol> client_;
  std::string payload_;
  std::string reply_;
  std::string spare_;
  std::vector<uint64_t> starts_;  // by call number modulo K
  uint64_t started_ = 0;
  uint64_t finished_ = 0;
  uint32_t missing_ = 0;  // bytes of the frame that has begun to arrive
  uint32_t sent_ = 0;     // bytes before what output_ holds
};

void RunLoop(std::vector<std::unique_ptr<Pipeline>>& pipelines, CallRecorder& recorder) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  const auto wait_for = [epoll](int operation, Pipeline& pipeline, uint32_t events) {
    epoll_event interest{};
    interest.events = events;
    interest.data.ptr = &pipeline;
    if (epoll_ctl(epoll, operation, pipeline.fd(), &interest) != 0) Fail("epoll_ctl");
  };
  size_t busy = pipelines.size();
  for (auto& pipeline : pipelines) {
    wait_for(EPOLL_CTL_ADD, *pipeline, EPOLLIN);
    pipeline->Begin();
    if (!pipeline->Write()) wait_for(EPOLL_CTL_MOD, *pipeline, EPOLLIN | EPOLLOUT);
  }
  epoll_event ready[256];
  while (busy > 0) {
    const int count = epoll_wait(epoll, ready, 256, -1);
    for (int i = 0; i < count; ++i) {
      auto& pipeline = *static_cast<Pipeline*>(ready[i].data.ptr);
      const bool was_full = (ready[i].events & EPOLLOUT) != 0;
      if ((ready[i].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) pipeline.Read(recorder);
      const bool full = !pipeline.Write();
      if (full) {
        wait_for(EPOLL_CTL_MOD, pipeline, EPOLLIN | EPOLLOUT);
      } else if (was_full) {
        wait_for(EPOLL_CTL_MOD, pipeline, EPOLLIN);
      }
      if (pipeline.out() == 0) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, pipeline.fd(), nullptr);
        --busy;
      }
    }
  }
  close(epoll);
}

// One call after another. A buffer under the framing makes one read of the length and the body; to
// large frames it would only add a copy.
void RunBlocking(EchoRun& run, const std::shared_ptr<TFramedTransport>& transport) {
  using Protocol = TBinaryProtocolT<TFramedTransport>;
  thrift_echo::EchoServiceClientT<Protocol> client(std::make_shared<Protocol>(transport));
  CallRecorder& recorder = run.recorder();
  std::string payload = run.pattern().bytes();
  std::string reply;
  uint64_t now = NowNanos();
  uint64_t number = 0;
  for (bool more = true; more;) {
    run.pattern().Stamp(payload.data(), ++number);
    const uint64_t start = now;
    try {
      client.Echo(reply, payload);
    } catch (const TException& error) {
      Fail(std::string("Echo: ") + error.what());
    }
    now = NowNanos();
    more = recorder.Finish(start, now, recorder.Check(reply.data(), reply.size(), number));
  }
}

int Main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  arguments.IgnoreUnread();

  std::shared_ptr<TFramedTransport> transport;
  std::vector<std::unique_ptr<Pipeline>> pipelines;
  if (run.options().IsOneCaller()) {
    std::shared_ptr<TTransport> below = std::make_shared<TSocket>("127.0.0.1", run.options().port);
    if (run.options().payload <= kReadSize / 4) {
      below = std::make_shared<TBufferedTransport>(below, kReadSize / 2);
    }
    transport = std::make_shared<TFramedTransport>(below);
    try {
      transport->open();
    } catch (const TException& error) {
      Fail(error.what());
    }
  } else {
    for (int i = 0; i < run.options().connections; ++i) {
      pipelines.push_back(std::make_unique<Pipeline>(run));
    }
  }

  run.Start(1);
  std::thread thread([&] {
    if (transport != nullptr) {
      RunBlocking(run, transport);
    } else {
      RunLoop(pipelines, run.recorder());
    }
    run.PartyDone();
  });
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // the thread may still wait for replies
  thread.join();
  return 0;
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
