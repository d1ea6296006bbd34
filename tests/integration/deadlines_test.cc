// Every call ends by its deadline, once, whatever the other side and the other threads do.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"
#include "weft/core/socket.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();
// Passes soon; nothing depends on how soon.
constexpr absl::Duration kSoon = absl::Milliseconds(10);

// A runtime whose time moves when the test moves it.
class ManualRuntime {
 public:
  const std::shared_ptr<Runtime>& operator*() const { return runtime_; }
  void Advance(Nanos d) { clock_.Advance(d); }

 private:
  ManualClock clock_;
  std::shared_ptr<Runtime> runtime_ = RuntimeOf({.clock = &clock_});
};

TEST(Deadline, EndsACallThatIsNeverAnsweredOnceAndKeepsTheConnection) {
  AnsweringEcho service;
  TestServer server(service);
  ManualRuntime runtime;
  const auto channel = server.Connect({.runtime = *runtime});
  EchoService::Stub stub(*channel);
  EchoResult result;
  ClientContext contexts[4];
  for (ClientContext& context : contexts) {
    stub.HangAsync(RequestOf("x"), {.timeout = absl::Minutes(1), .context = &context},
                   Into(result));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(4));
  EXPECT_EQ(result.count(), 0u);
  // The client's clock alone: for the server no time passes.
  runtime.Advance(std::chrono::minutes(1));
  for (const auto& reply : result.WaitForAll(4)) {
    EXPECT_THAT(
        reply.status(),
        IsStatus(absl::StatusCode::kDeadlineExceeded,
                 testing::AllOf(HasSubstr("call weft.test.EchoService/Hang: no reply within "),
                                HasSubstr(server.target()), HasSubstr("60000.0 ms"))));
  }
  for (ClientContext& context : contexts) EXPECT_TRUE(context.may_have_been_executed());
  // The answers come late: they are counted, and end no call a second time.
  service.Release();
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == 4; }));
  EXPECT_EQ(result.count(), 4u);
  EXPECT_EQ(server->connections().accepted, 1);
  EXPECT_EQ(server->connections().open, 1);
}

// Each side measures a deadline on its own clock, from when it had the call.
TEST(Deadline, InTheServersQueueMeansNotExecuted) {
  HookedEcho service;
  ManualClock server_clock;
  TestServer server(
      service, ServerOptions{.runtime = RuntimeOf({.worker_threads = 1, .clock = &server_clock})});
  ManualRuntime runtime;
  const auto channel = server.Connect({.runtime = *runtime});
  EchoService::Stub stub(*channel);
  EchoResult first, second, third;
  stub.HangAsync(RequestOf("holds the only worker"), {.timeout = kForever}, Into(first));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  ClientContext context;
  stub.EchoAsync(RequestOf("waits"), {.timeout = absl::Minutes(1)}, Into(second));
  stub.EchoAsync(RequestOf("waits"), {.timeout = absl::Minutes(2), .context = &context},
                 Into(third));
  // Behind them on the same connection: when this has been answered, they have been queued.
  ASSERT_TRUE(stub.EchoInline(RequestOf("y")).ok());
  const int64_t entered = service.entered.load();
  // The client sees the end of one, the server of both.
  runtime.Advance(std::chrono::minutes(1));
  EXPECT_THAT(second.Wait().status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  server_clock.Advance(std::chrono::minutes(2));
  service.release.Notify();
  EXPECT_TRUE(first.Wait().ok());
  EXPECT_THAT(third.Wait().status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("deadline passed in the server's queue, not executed")));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == 1; }));
  EXPECT_EQ(service.entered.load(), entered);
  // Neither of the two counts as OK.
  for (const MethodStatsSnapshot& stats : server->Stats()) {
    if (stats.method != "weft.test.EchoService/Echo") continue;
    EXPECT_EQ(stats.calls, 2);
    EXPECT_EQ(stats.by_code[0], 0);
  }
}

TEST(Deadline, ThatHasPassedMeansNotSent) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 2; ++i) {  // without and with a connection
    ClientContext context;
    EXPECT_THAT(
        stub.Echo(RequestOf("x"), {.timeout = absl::Nanoseconds(-1), .context = &context}).status(),
        IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("before it was sent")));
    EXPECT_FALSE(context.may_have_been_executed());
    EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = -absl::InfiniteDuration()}).status(),
                HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_EQ(service.entered.load(), i);
    ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  }
}

TEST(Deadline, IsTheCallsElseTheMethodsElseTheChannels) {
  HookedEcho service;
  TestServer server(service);
  const auto long_one = server.Connect({.timeout = absl::Hours(2)});
  EchoService::Stub stub(*long_one);
  const auto left = [&](CallOptions options = {}) {
    return stub.Where(WhereRequest(), options)->remaining_micros();
  };
  // Neither the call nor the method says, so the channel's two hours hold.
  EXPECT_GT(left(), absl::ToInt64Microseconds(absl::Hours(1)));
  EXPECT_LE(left(), absl::ToInt64Microseconds(absl::Hours(2)));
  EXPECT_LE(left({.timeout = absl::Minutes(1)}), absl::ToInt64Microseconds(absl::Minutes(1)));
  EXPECT_EQ(left({.timeout = kForever}), -1);
  const auto endless = server.Connect({.timeout = kForever});
  EXPECT_EQ(EchoService::Stub(*endless).Where(WhereRequest())->remaining_micros(), -1);
  // The method says 50 ms: it goes before the channel, and the call before it.
  service.in_sleep = [](ServerContext& call) {
    if (call.time_left() > absl::Minutes(1)) return;
    EXPECT_TRUE(PollUntil([&] { return call.cancelled(); }));
  };
  EXPECT_THAT(stub.SleepBriefly(SleepRequest()).status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("50.0 ms")));
  EXPECT_TRUE(stub.SleepBriefly(SleepRequest(), {.timeout = absl::Hours(1)}).ok());
  const auto brief = server.Connect({.timeout = kSoon});
  EXPECT_THAT(EchoService::Stub(*brief).Hang(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("10.0 ms")));
}

TEST(Deadline, IsSeenByTheHandler) {
  HookedEcho service;
  ManualRuntime runtime;
  TestServer server(service, ServerOptions{.runtime = *runtime});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.HangAsync(RequestOf("x"), {.timeout = absl::Hours(1)}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // The server's clock alone: for the client no time passes, and it takes the handler's answer.
  runtime.Advance(std::chrono::hours(1));
  EXPECT_THAT(result.Wait().status(),
              IsStatus(absl::StatusCode::kCancelled, HasSubstr("seen by the handler")));
  EXPECT_EQ(service.seen_cancelled.Get(), 1);
}

TEST(Deadline, FiresWhileEveryWorkerIsBlocked) {
  HookedEcho service;
  const auto runtime = RuntimeOf({.worker_threads = 1});
  TestServer server(service, ServerOptions{.runtime = runtime});
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  EchoResult hung, late;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // All of them wait behind the call that hangs. Only the loops' timers can end them.
  for (int i = 0; i < 50; ++i) stub.EchoAsync(RequestOf("y"), {.timeout = kSoon}, Into(late));
  for (const auto& reply : late.WaitForAll(50)) {
    EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_EQ(hung.count(), 0u);
  service.release.Notify();
  EXPECT_TRUE(hung.Wait().ok());
}

TEST(Deadline, HoldsForCallsThatWaitForAConnection) {
  // A listener that never answers the handshake.
  TempDir dir;
  absl::StatusOr<SocketAddress> address =
      SocketAddress::Parse(absl::StrCat("unix:", dir.path(), "/s"));
  ASSERT_TRUE(address.ok());
  absl::StatusOr<Socket> listener = Socket::Listen(*address, 16);
  ASSERT_TRUE(listener.ok());
  // Nothing but their own deadlines ends these calls.
  const auto channel = ChannelTo(address->ToString(), {.connect_timeout = absl::Hours(1)});
  EchoService::Stub stub(*channel);
  EchoResult result;
  for (int i = 0; i < 20; ++i) {
    stub.EchoAsync(RequestOf("x"), {.timeout = kSoon + absl::Milliseconds(i % 5)}, Into(result));
  }
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = kSoon, .context = &context}).status(),
              IsStatus(absl::StatusCode::kDeadlineExceeded,
                       testing::AllOf(HasSubstr("no connection within"), HasSubstr("not sent"))));
  EXPECT_FALSE(context.may_have_been_executed());
  for (const auto& reply : result.WaitForAll(20)) {
    EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kDeadlineExceeded));
  }
  EXPECT_EQ(channel->counts().failed_connects, 0);
}

TEST(Deadline, OfWhatWaitedForAConnectionIsSentAsWhatIsLeft) {
  // The first attempt meets a listener that never answers; the channel's second one a server.
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  ManualRuntime runtime;
  ChannelOptions options{.runtime = *runtime, .connect_timeout = absl::Hours(1)};
  options.limits.handshake_timeout = absl::Hours(1);
  const auto channel = ChannelTo(target, std::move(options));
  const auto address = SocketAddress::Parse(target);
  ASSERT_TRUE(address.ok());
  auto listener = Socket::Listen(*address, 16);
  ASSERT_TRUE(listener.ok());
  EchoService::Stub stub(*channel);
  Awaited<absl::StatusOr<WhereReply>> result;
  stub.WhereAsync(WhereRequest(), {.timeout = absl::Minutes(10)},
                  [&](absl::StatusOr<WhereReply> r) { result.Add(std::move(r)); });
  Socket accepted;
  ASSERT_TRUE(PollUntil([&] {
    accepted = Socket(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    return accepted.valid();
  }));
  // Four of its ten minutes pass before it can be sent. Then this end says Hello.
  runtime.Advance(std::chrono::minutes(4));
  const std::string hello = native::Handshake::MakeHello(SessionLimits(), {});
  std::string bytes(native::kPreface.data(), native::kPreface.size());
  char header[native::kHeaderSize];
  native::WriteHeader(header,
                      {static_cast<uint32_t>(hello.size()), native::FrameType::kHello, 0, 0, 0});
  bytes.append(header, sizeof header).append(hello);
  ASSERT_EQ(::write(accepted.fd(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  // Its preface, its Hello, and then the request.
  std::string got;
  char buffer[4096];
  std::optional<native::RequestFrame> request;
  while (!request.has_value()) {
    const ssize_t n = ::read(accepted.fd(), buffer, sizeof buffer);
    ASSERT_GT(n, 0);
    got.append(buffer, static_cast<size_t>(n));
    for (size_t at = native::kPreface.size(); at + native::kHeaderSize <= got.size();) {
      const native::FrameHeader frame = native::ReadHeader(got.data() + at);
      at += native::kHeaderSize;
      if (at + frame.length > got.size()) break;
      if (frame.type == native::FrameType::kRequest) {
        request.emplace();
        ASSERT_EQ(native::FrameReader::ReadRequest(
                      frame, std::string_view(got.data() + at, frame.length), &*request),
                  native::FrameError::kNone);
      }
      at += frame.length;
    }
  }
  EXPECT_EQ(request->timeout_us, static_cast<uint64_t>(6 * 60) * 1'000'000);
  accepted.Close();
  EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
}

// Ended by this side: its answer, when it comes, is late. A server may say first that a deadline
// has passed in its queue.
bool EndedHere(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) &&
         status.message().find("no reply within") != std::string::npos;
}

class Timeouts : public testing::TestWithParam<bool> {};

TEST_P(Timeouts, ManyShortOnesEndEachOnce) {
  constexpr int kThreads = 4, kCalls = 300;
  const bool on_loop = GetParam();
  AnsweringEcho service;
  TestServer server(service);
  const auto runtime = RuntimeOf();
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  Watched<int> ended{0};
  std::atomic<int> expired{0}, ended_here{0};
  const auto burst = [&] {
    for (int i = 0; i < kCalls; ++i) {
      // From 1 µs, which passes before the request is written, to 11 ms.
      stub.HangAsync(RequestOf("x"), {.timeout = absl::Microseconds(1 + i * 37 % 20'000)},
                     [&](absl::StatusOr<EchoReply> r) {
                       if (absl::IsDeadlineExceeded(r.status())) expired.fetch_add(1);
                       if (EndedHere(r.status())) ended_here.fetch_add(1);
                       ended.Update([](int& n) { ++n; });
                     });
    }
  };
  if (on_loop) {
    for (int i = 0; i < kThreads; ++i) {
      runtime->loops().At(0).loop->Post([&](TaskFate) { burst(); });
    }
  } else {
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(burst);
    for (std::thread& thread : threads) thread.join();
  }
  ASSERT_TRUE(ended.WaitForValue(kThreads * kCalls));
  EXPECT_EQ(expired.load(), kThreads * kCalls);
  service.Release();
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  // Every call is answered, whether its handler ran or not.
  ASSERT_TRUE(PollUntil([&] {
    service.Release();
    return channel->counts().late_replies == ended_here.load();
  }));
  EXPECT_EQ(ended.Get(), kThreads * kCalls);
  EXPECT_EQ(server->connections().accepted, 1);
}

INSTANTIATE_TEST_SUITE_P(Threads, Timeouts, testing::Bool(), [](const auto& p) {
  return p.param ? std::string("FromTheLoop") : std::string("FromOthers");
});

TEST(Deadline, AndTheAnswerMayMeetAndTheCallEndsOnce) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  constexpr int kCalls = 2000;
  Watched<int> ended{0};
  std::atomic<int> ok{0}, expired{0}, ended_here{0};
  for (int i = 0; i < kCalls; ++i) {
    // Up to 1.5 ms, about as long as a call takes, so that answers and deadlines meet.
    stub.EchoAsync(RequestOf("x"), {.timeout = absl::Microseconds(1 + i % 1500)},
                   [&](absl::StatusOr<EchoReply> r) {
                     (r.ok() ? ok : expired).fetch_add(1);
                     if (EndedHere(r.status())) ended_here.fetch_add(1);
                     EXPECT_TRUE(r.ok() || absl::IsDeadlineExceeded(r.status())) << r.status();
                     ended.Update([](int& n) { ++n; });
                   });
  }
  ASSERT_TRUE(ended.WaitForValue(kCalls));
  EXPECT_EQ(ok.load() + expired.load(), kCalls);
  // Every request was sent, so every one is answered, in time or late.
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == ended_here.load(); }));
}

}  // namespace
}  // namespace weft::test
