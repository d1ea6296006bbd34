// More than there is room for is refused, with what was full and how full, and the rest goes on.
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/raw_peer.h"
#include "tests/support/scripted_transport.h"
#include "weft/core/loop_group.h"
#include "weft/core/output_queue.h"
#include "weft/core/socket.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/frame_writer.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

TEST(Overload, AFullQueueRefusesWithItsLengthAndSetting) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.worker_threads = 1, .worker_queue = 4});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung, refused;
  stub.HangAsync(RequestOf("holds the worker"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  for (int i = 0; i < 12; ++i) stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(refused));
  for (const auto& reply : refused.WaitForAll(8)) {
    EXPECT_THAT(reply.status(),
                IsStatus(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr("queue is full"), HasSubstr("4 calls wait"),
                               HasSubstr("1 workers"), HasSubstr("the limit is 4"),
                               HasSubstr("worker_queue"))));
  }
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = kForever, .context = &context}).status(),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(refused.count(), 8u);
  service.release.Notify();
  EXPECT_TRUE(hung.Wait().ok());
  refused.WaitForAll(12);
  EXPECT_EQ(service.entered.load(), 1 + 4);
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
}

TEST(Overload, MaxCallsRefusesOnTheClientsSideAlready) {
  AnsweringEcho service;
  ServerOptions options;
  options.limits.max_calls = 5;
  TestServer server(service, std::move(options));
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // The client knows the server's limit from its Hello, and refuses the sixth call by itself.
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  EchoResult hung;
  for (int i = 0; i < 5; ++i) stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(5));
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("5 calls"), HasSubstr("limit is 5"),
                             HasSubstr("max_calls of the server"))));
  EXPECT_FALSE(context.may_have_been_executed());
  service.Release();
  hung.WaitForAll(5);
  EXPECT_TRUE(PollUntil([&] { return stub.Echo(RequestOf("after")).ok(); }));
}

TEST(Overload, MaxCallsHoldsForTimedOutCallsToo) {
  // The client has forgotten them, the server's handlers have not.
  AnsweringEcho service;
  ServerOptions options;
  options.limits.max_calls = 3;
  TestServer server(service, std::move(options));
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 3; ++i) {
    ClientContext context;
    stub.HangAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(hung));
    ASSERT_TRUE(service.hanging.WaitForValue(i + 1));
    context.Cancel();
    hung.WaitForAll(static_cast<size_t>(i) + 1);
  }
  EXPECT_THAT(stub.Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("3 calls"), HasSubstr("max_calls of the server"))));
  service.Release();
  EXPECT_TRUE(PollUntil([&] { return stub.Echo(RequestOf("after")).ok(); }));
}

TEST(Overload, AnElasticPoolServesBehindBlockedWorkers) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.worker_threads = 1, .max_worker_threads = 4});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 3; ++i) stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  // With one worker, or two, or three, these would not both come to pass.
  ASSERT_TRUE(service.hanging.WaitForValue(3));
  EXPECT_TRUE(stub.Echo(RequestOf("y"), {.timeout = kForever}).ok());
  EXPECT_EQ(hung.count(), 0u);
  service.release.Notify();
  for (const auto& reply : hung.WaitForAll(3)) EXPECT_TRUE(reply.ok());
}

// ---- Limits of calls under way

// Expects a call to be refused with these words, and no handler to see it.
void ExpectRefused(EchoService::Stub& stub, const std::vector<std::string>& words) {
  ClientContext context;
  const auto reply = stub.Echo(RequestOf("x"), {.timeout = kForever, .context = &context});
  EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kResourceExhausted));
  for (const std::string& word : words) {
    EXPECT_THAT(std::string(reply.status().message()), HasSubstr(word));
  }
  EXPECT_FALSE(context.may_have_been_executed());
}

TEST(Overload, TheServersLimitCountsAllConnectionsAndMethods) {
  AnsweringEcho service;
  TestServer server(service, ServerOptions{.io_threads = 2, .overload = {.max_calls = 4}});
  // The connections are on different loops, and the count is the server's.
  const auto one = server.Connect();
  const auto two = server.Connect();
  EchoService::Stub first(*one), second(*two);
  EchoResult hung;
  for (int i = 0; i < 2; ++i) {
    first.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
    second.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(4));
  for (EchoService::Stub* stub : {&first, &second}) {
    ExpectRefused(*stub, {"4 calls are under way", "limit is 4", "overload.max_calls"});
  }
  service.Release();
  for (const auto& reply : hung.WaitForAll(4)) EXPECT_TRUE(reply.ok());
  EXPECT_TRUE(PollUntil([&] { return first.Echo(RequestOf("after")).ok(); }));
}

TEST(Overload, AConnectionThatFillsTheServersLimitLeavesRoomForAnother) {
  AnsweringEcho service;
  TestServer server(service, ServerOptions{.io_threads = 2, .overload = {.max_calls = 16}});
  const auto one = server.Connect();
  const auto two = server.Connect();
  EchoService::Stub hog(*one), innocent(*two);
  ASSERT_TRUE(innocent.Echo(RequestOf("connects")).ok());
  EchoResult hung;
  for (int i = 0; i < 16; ++i) hog.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  // An eighth of 16 is kept for connections that hold less, so 14 are taken.
  for (const auto& refused : hung.WaitForAll(2)) {
    EXPECT_THAT(refused.status(), IsStatus(absl::StatusCode::kResourceExhausted,
                                           HasSubstr("the last are for connections with fewer")));
  }
  for (int i = 0; i < 20; ++i) {
    const auto reply = innocent.Echo(RequestOf("x"), {.timeout = kForever});
    EXPECT_TRUE(reply.ok()) << reply.status();
  }
  ExpectRefused(hog, {"calls are under way", "the limit is 16", "overload.max_calls"});
  service.Release();
  EXPECT_EQ(hung.WaitForAll(16).size(), 16u);
}

TEST(Overload, AMethodsLimitLeavesTheOthersAlone) {
  AnsweringEcho service;
  Server server;
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Configure(EchoService::kHang, {.max_calls = 3}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 3; ++i) stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(3));
  ClientContext context;
  EXPECT_THAT(stub.Hang(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("EchoService/Hang: 3 calls are under way"),
                             HasSubstr("limit is 3 (max_calls of the method)"))));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_TRUE(stub.Echo(RequestOf("x")).ok());
  service.Release();
  for (const auto& reply : hung.WaitForAll(3)) EXPECT_TRUE(reply.ok());
}

TEST(Overload, LimitsHoldForInlineHandlersToo) {
  AnsweringEcho service;
  TestServer server(service, ServerOptions{.run_inline = true, .overload = {.max_calls = 2}});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  for (int i = 0; i < 2; ++i) stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(2));
  ExpectRefused(stub, {"2 calls are under way"});
  service.Release();
  hung.WaitForAll(2);
}

TEST(Overload, TheAdaptiveLimitRefusesWhatItsPoolCannotTakeAndOtherPoolsGoOn) {
  HookedEcho service;
  service.in_sleep = [&](ServerContext&) { EXPECT_TRUE(service.release.Wait()); };
  ServerOptions options;
  options.worker_threads = 1;
  options.pools = {{"other", {.threads = 1}}};
  options.overload = {.adaptive = true, .min_adaptive_calls = 2, .max_adaptive_calls = 6};
  Server server(std::move(options));
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Configure(EchoService::kSleep, {.pool = "other"}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  EchoService::Stub stub(*channel);
  EchoResult all;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(all));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  // With the one that hangs these are six, the highest that the limit may be.
  for (int i = 0; i < 5; ++i) stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(all));
  ExpectRefused(stub, {"6 calls are under way", "limit is 6 at present", "overload.adaptive"});
  // The calls of the full pool count for nobody else: the other one takes as many of its own. Six,
  // for even a pool that is full would take a few of a caller that has none there.
  Awaited<absl::StatusOr<SleepReply>> elsewhere;
  for (int i = 0; i < 6; ++i) {
    stub.SleepAsync(SleepRequest(), {.timeout = kForever},
                    [&](absl::StatusOr<SleepReply> reply) { elsewhere.Add(std::move(reply)); });
  }
  // Behind them on the same connection: when this has been answered, all six were looked at.
  ExpectRefused(stub, {"6 calls are under way"});
  service.release.Notify();
  for (const auto& reply : elsewhere.WaitForAll(6)) EXPECT_TRUE(reply.ok()) << reply.status();
  for (const auto& reply : all.WaitForAll(6)) EXPECT_TRUE(reply.ok());
  EXPECT_TRUE(PollUntil([&] { return stub.Echo(RequestOf("after")).ok(); }));
}

TEST(Overload, AQueueThatStandsGivesUpWhatWaitedTooLong) {
  HookedEcho service;
  // Every call waits for longer than nothing, so the queue stands from the second interval on.
  ServerOptions options;
  options.worker_threads = 1;
  options.overload = {
      .shed = true, .queue_target = absl::Nanoseconds(1), .queue_interval = absl::Nanoseconds(1)};
  TestServer server(service, std::move(options));
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult all;
  for (int i = 0; i < 10; ++i) stub.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(all));
  int served = 0;
  for (const auto& reply : all.WaitForAll(10)) {
    if (reply.ok()) {
      ++served;
      continue;
    }
    EXPECT_THAT(reply.status(),
                IsStatus(absl::StatusCode::kResourceExhausted,
                         AllOf(HasSubstr("the call waited"), HasSubstr("overload.queue_target"))));
  }
  // The first calls may be served: a queue stands only when an interval has passed.
  EXPECT_EQ(served, service.entered.load());
  EXPECT_LT(served, 10);
}

// ---- Peers that do not read

// A client of the native protocol that does just what it is told.
class RawClient {
 public:
  explicit RawClient(const std::string& target) {
    const auto address = SocketAddress::Parse(target);
    const int fd = ::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer_ = RawPeer(fd);
    EXPECT_EQ(::connect(fd, address->get(), address->length()), 0);
    peer_.Send(std::string_view(native::kPreface.data(), native::kPreface.size()));
    SendFrame(native::FrameType::kHello, 0, 0, native::Handshake::MakeHello(SessionLimits(), {}));
    EXPECT_EQ(peer_.Read(native::kPreface.size()).size(), native::kPreface.size());
    EXPECT_TRUE(peer_.ReadFrame(native::FrameType::kHello).has_value());
  }

  void Request(const MethodInfo& method, const google::protobuf::MessageLite& message) {
    auto record = std::make_shared<WriteRecord>();
    OutputQueue queue(std::make_unique<ScriptedTransport>(record));
    native::FrameWriter writer(queue, native::kMinFrame);
    {
      MutexLock lock(queue.mutex());
      native::RequestHead head;
      head.id = next_++;
      head.method_name = method.full_name;
      native::OutMessage out;
      out.message = &message;
      out.size = message.ByteSizeLong();
      writer.Request(head, out);
      EXPECT_TRUE(queue.Claim());
    }
    (void)queue.Flush();
    peer_.Send(record->written());
  }
  RawPeer& peer() { return peer_; }

 private:
  void SendFrame(native::FrameType type, uint8_t flags, uint64_t id, std::string_view body) {
    char header[native::kHeaderSize];
    native::WriteHeader(header, {static_cast<uint32_t>(body.size()), type, flags, 0, id});
    peer_.Send(std::string(header, sizeof header).append(body));
  }

  RawPeer peer_;
  uint64_t next_ = 1;
};

class SlowReader : public testing::TestWithParam<Family> {};

TEST_P(SlowReader, CostsNoMoreThanTheLimitAndNobodyElse) {
  constexpr int kCalls = 200;
  HookedEcho service;
  ServerOptions options{.worker_threads = 2};
  options.limits.max_output_bytes = 8 << 20;
  TestServer server(service, std::move(options), GetParam());
  RawClient raw(server.target());
  // All requests, for replies of 200 MiB, are taken before the first is answered: the last of them
  // is answered by the I/O thread itself.
  raw.Request(EchoService::kHang, RequestOf("holds a worker"));
  raw.Request(EchoService::kHang, RequestOf("holds the other"));
  ASSERT_TRUE(service.hanging.WaitForValue(2));
  ProduceRequest request;
  request.set_bytes(1 << 20);
  for (int i = 0; i < kCalls; ++i) raw.Request(EchoService::kProduce, request);
  raw.Request(EchoService::kEchoInline, RequestOf("behind them"));
  ASSERT_TRUE(PollUntil([&] { return service.entered.load() == 3; }));
  service.release.Notify();
  // Meanwhile others are served.
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(stub.Echo(RequestOf("x"), {.timeout = kForever}).ok());
  ASSERT_TRUE(PollUntil([&] {
    for (const MethodStatsSnapshot& stats : server->Stats()) {
      if (stats.method == "weft.test.EchoService/Produce") return stats.calls == kCalls;
    }
    return false;
  }));
  EXPECT_EQ(server->connections().open, 2);
  // Replies that were kept for it fill the limit and the kernel's buffers; the rest was refused.
  int whole = 0, refused = 0;
  for (int i = 0; i < kCalls + 3; ++i) {
    const std::optional<RawFrame> frame = raw.peer().ReadFrame(native::FrameType::kResponse);
    ASSERT_TRUE(frame.has_value());
    if (frame->header.aux == 0) {
      ++whole;
      continue;
    }
    EXPECT_EQ(frame->header.aux, ToWireCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(frame->body, AllOf(HasSubstr("server side"), HasSubstr("max_output_bytes")));
    ++refused;
  }
  // Eight fit into the limit of 8 MiB, and the kernel's buffers take some more.
  EXPECT_LE(whole, 40);
  EXPECT_GE(refused, 100);
  EXPECT_TRUE(stub.Echo(RequestOf("x")).ok());
}

TEST_P(SlowReader, IsNotReadFromUntilItReads) {
  HookedEcho service;
  ServerOptions options{.run_inline = true};
  options.limits.max_output_bytes = 8 << 20;
  TestServer server(service, std::move(options), GetParam());
  RawClient raw(server.target());
  ProduceRequest request;
  request.set_bytes(1 << 20);
  // Each is answered before the next is sent, until the server reads no more.
  int64_t sent = 0;
  const auto taken = [&] { return service.entered.load() == sent; };
  const auto stays_away = [&] {
    for (int i = 0; i < 50 && !taken(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return !taken();
  };
  do {
    raw.Request(EchoService::kProduce, request);
    ++sent;
    ASSERT_LT(sent, 100);
  } while (!stays_away());
  for (int i = 0; i < 4; ++i) {  // what is read at once must not be more than the limit
    raw.Request(EchoService::kProduce, request);
    ++sent;
  }
  // In the end all calls are answered and none was refused, in whatever order they ran.
  for (int64_t i = 0; i < sent; ++i) {
    const std::optional<RawFrame> frame = raw.peer().ReadFrame(native::FrameType::kResponse);
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->header.aux, 0);
  }
  EXPECT_TRUE(taken());
}

TEST_P(SlowReader, ThatStartsToReadGetsEverything) {
  HookedEcho service;
  ServerOptions options{.worker_threads = 1};
  options.limits.max_output_bytes = 4 << 20;
  TestServer server(service, std::move(options), GetParam());
  // A channel whose loop is held up does not read.
  const auto runtime = RuntimeOf();
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  Notification go_on;
  runtime->loops().At(0).loop->Post([&](TaskFate) { ASSERT_TRUE(go_on.Wait()); });
  Awaited<absl::StatusOr<ProduceReply>> replies;
  ProduceRequest request;
  request.set_bytes(256 << 10);
  for (int i = 0; i < 12; ++i) {  // 3 MiB
    stub.ProduceAsync(request, {.timeout = kForever},
                      [&](absl::StatusOr<ProduceReply> r) { replies.Add(std::move(r)); });
  }
  // Replies wait for the client by now, which reads none.
  EXPECT_TRUE(PollUntil([&] { return service.entered.load() >= 4; }));
  go_on.Notify();
  const std::string expected = Pattern(256 << 10);
  for (const auto& reply : replies.WaitForAll(12)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_TRUE(reply->payload() == expected);
  }
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST_P(SlowReader, ThatIsLeftByItsServerRaisesNoSignal) {
  // Requests to a server that has closed, replies to a client that has: EPIPE, never SIGPIPE, which
  // would end this process.
  AnsweringEcho service;
  TestServer server(service, GetParam());
  for (int i = 0; i < 10; ++i) {
    {
      RawClient raw(server.target());
      const int before = service.hanging.Get();
      raw.Request(EchoService::kHang, RequestOf("x"));
      ASSERT_TRUE(service.hanging.WaitForValue(before + 1));
    }
    service.Release();
  }
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
}

INSTANTIATE_TEST_SUITE_P(Families, SlowReader, testing::Values(Family::kTcp4, Family::kUnix),
                         [](const auto& p) { return NameOf(p.param); });

// Each connection stays within its own limit; together they would be over the runtime's.
TEST(SlowReaders, TogetherCostNoMoreThanTheLimitOfTheRuntime) {
  constexpr int kCalls = 40;
  HookedEcho service;
  RuntimeOptions runtime;
  runtime.worker_threads = 2;
  runtime.max_output_bytes = 8 << 20;
  ServerOptions options;
  options.runtime = RuntimeOf(std::move(runtime));
  TestServer server(service, std::move(options), Family::kUnix);
  RawClient one(server.target()), two(server.target()), three(server.target());
  RawClient* const readers[] = {&one, &two, &three};
  // All requests are taken before the first is answered: by then nobody is kept from sending more.
  one.Request(EchoService::kHang, RequestOf("holds a worker"));
  two.Request(EchoService::kHang, RequestOf("holds the other"));
  ASSERT_TRUE(service.hanging.WaitForValue(2));
  ProduceRequest request;
  request.set_bytes(1 << 20);
  for (RawClient* reader : readers) {
    for (int i = 0; i < kCalls; ++i) reader->Request(EchoService::kProduce, request);
    reader->Request(EchoService::kEchoInline, RequestOf("behind them"));
  }
  ASSERT_TRUE(PollUntil([&] { return service.entered.load() == 5; }));
  service.release.Notify();
  ASSERT_TRUE(PollUntil([&] {
    for (const MethodStatsSnapshot& stats : server->Stats()) {
      if (stats.method == "weft.test.EchoService/Produce") return stats.calls == 3 * kCalls;
    }
    return false;
  }));
  int whole = 0, refused = 0;
  for (RawClient* reader : readers) {
    // The first two also have the call that held a worker.
    for (int i = 0; i < kCalls + (reader == &three ? 1 : 2); ++i) {
      const std::optional<RawFrame> frame = reader->peer().ReadFrame(native::FrameType::kResponse);
      ASSERT_TRUE(frame.has_value());
      if (frame->header.aux == 0) {
        ++whole;
        continue;
      }
      EXPECT_EQ(frame->header.aux, ToWireCode(absl::StatusCode::kResourceExhausted));
      EXPECT_THAT(frame->body, AllOf(HasSubstr("server side"), HasSubstr("on all connections"),
                                     HasSubstr("8388608 (max_output_bytes of the runtime)")));
      ++refused;
    }
  }
  EXPECT_LE(whole, 40);
  EXPECT_GE(refused, 60);
  // The replies are read, so what was held is free again.
  const auto channel = server.Connect();
  // Replies that they have not read go with their connections.
  for (RawClient* reader : readers) reader->peer().ShutDownWrites();
  EXPECT_TRUE(PollUntil([&] { return EchoService::Stub(*channel).Produce(request).ok(); }));
}

TEST(ClientOutput, OverItsLimitIsRefusedOnTheClientsSide) {
  // A server that never reads: the kernel's buffers fill, then the channel's queue.
  TempDir dir;
  const std::string target = absl::StrCat("unix:", dir.path(), "/s");
  auto listener = Socket::Listen(*SocketAddress::Parse(target), 4);
  ASSERT_TRUE(listener.ok());
  ChannelOptions options;
  options.limits.max_output_bytes = 1 << 20;
  const auto channel = ChannelTo(target, std::move(options));
  EchoService::Stub stub(*channel);
  ConsumeRequest request;
  request.set_payload(Pattern(200'000));
  Awaited<absl::StatusOr<ConsumeReply>> results;
  std::vector<std::unique_ptr<ClientContext>> contexts;
  for (int i = 0; i < 8; ++i) {
    contexts.push_back(std::make_unique<ClientContext>());
    stub.ConsumeAsync(request, {.timeout = kForever, .context = contexts.back().get()},
                      [&](absl::StatusOr<ConsumeReply> r) { results.Add(std::move(r)); });
  }
  // Five of 200,000 bytes fit into 1 MiB.
  for (const auto& result : results.WaitForAll(3)) {
    EXPECT_THAT(result.status(), IsStatus(absl::StatusCode::kResourceExhausted,
                                          AllOf(HasSubstr("client side"), HasSubstr("1048576"),
                                                HasSubstr("max_output_bytes"))));
  }
  EXPECT_EQ(results.count(), 3u);
  for (const auto& context : contexts) context->Cancel();
  results.WaitForAll(8);
  // The calls waited for the handshake, which never came.
  for (const auto& context : contexts) EXPECT_FALSE(context->may_have_been_executed());
}

}  // namespace
}  // namespace weft::test
