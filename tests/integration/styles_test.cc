// Every way to call with every way to serve: one result, in the right place, with the right bytes.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/loop_group.h"
#include "weft/core/worker_pool.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::Combine;
using ::testing::HasSubstr;
using ::testing::TestWithParam;
using ::testing::Values;

enum class Style { kBlocking, kCallback, kCoroutine };
enum class Handler { kBlocking, kAsync, kCoroutine, kInline, kServerInline };

std::string NameOf(Style style) {
  switch (style) {
    case Style::kBlocking:
      return "Blocking";
    case Style::kCallback:
      return "Callback";
    case Style::kCoroutine:
      return "Coroutine";
  }
  return "";
}

std::string NameOf(Handler handler) {
  switch (handler) {
    case Handler::kBlocking:
      return "Blocking";
    case Handler::kAsync:
      return "Async";
    case Handler::kCoroutine:
      return "Coroutine";
    case Handler::kInline:
      return "Inline";
    case Handler::kServerInline:
      return "ServerInline";
  }
  return "";
}

// Where something ran. Its members are set on the thread that makes it.
struct Place {
  std::thread::id thread = std::this_thread::get_id();
  internal::EventLoop* loop = internal::EventLoop::Current();
  Executor* executor = Executor::Current();
};

Coro<absl::StatusOr<EchoReply>> Await(EchoService::Stub& stub, const EchoRequest& request,
                                      const CallOptions& options) {
  co_return co_await stub.EchoCoro(request, options);
}

Coro<absl::StatusOr<EchoReply>> AwaitInline(EchoService::Stub& stub, const EchoRequest& request,
                                            const CallOptions& options) {
  co_return co_await stub.EchoInlineCoro(request, options);
}

absl::StatusOr<EchoReply> Call(Style style, EchoService::Stub& stub, const EchoRequest& request,
                               bool inline_method = false, const CallOptions& options = {}) {
  EchoResult result;
  switch (style) {
    case Style::kBlocking:
      return inline_method ? stub.EchoInline(request, options) : stub.Echo(request, options);
    case Style::kCallback:
      if (inline_method) {
        stub.EchoInlineAsync(request, options, Into(result));
      } else {
        stub.EchoAsync(request, options, Into(result));
      }
      break;
    case Style::kCoroutine:
      Spawn(inline_method ? AwaitInline(stub, request, options) : Await(stub, request, options),
            [&](std::optional<absl::StatusOr<EchoReply>> ended, std::exception_ptr error) {
              EXPECT_EQ(error, nullptr);
              result.Add(*std::move(ended));
            });
      break;
  }
  return result.Wait();
}

// ---- One result, whole

class EveryWay : public TestWithParam<std::tuple<Family, Style, Handler>> {
 protected:
  EveryWay() {
    ServerOptions options;
    options.worker_threads = 2;
    options.run_inline = handler() == Handler::kServerInline;
    server_ = std::make_unique<TestServer>(service(), std::move(options), std::get<0>(GetParam()));
    channel_ = server_->Connect();
    stub_.emplace(*channel_);
  }
  Style style() const { return std::get<1>(GetParam()); }
  Handler handler() const { return std::get<2>(GetParam()); }
  Service& service() {
    if (handler() == Handler::kAsync) return async_;
    if (handler() == Handler::kCoroutine) return coroutine_;
    return blocking_;
  }
  absl::StatusOr<EchoReply> CallOnce(const EchoRequest& request) {
    return Call(style(), *stub_, request, handler() == Handler::kInline);
  }

  HookedEcho blocking_;
  AnsweringEcho async_;
  CoroutineEcho coroutine_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Channel> channel_;
  std::optional<EchoService::Stub> stub_;
};

TEST_P(EveryWay, BringsEveryFieldBack) {
  EchoRequest request = PayloadOf(1000);
  request.set_text("Grüße, 世界");
  request.set_number(-7);
  request.add_words("one");
  request.add_words("");
  const absl::StatusOr<EchoReply> reply = CallOnce(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->SerializeAsString(), request.SerializeAsString());
}

TEST_P(EveryWay, BringsMessagesOfEverySizeBack) {
  for (const size_t size :
       // Around the sizes at which something changes: small requests that are copied, frames of 64
       // KiB, blocks and messages in pieces.
       {size_t{0}, size_t{1}, size_t{255}, size_t{256}, size_t{257}, size_t{32767}, size_t{32768},
        size_t{65535}, size_t{65536}, size_t{65537}, size_t{1} << 20, (size_t{1} << 20) + 1}) {
    const EchoRequest request = PayloadOf(size, size + 1);
    const absl::StatusOr<EchoReply> reply = CallOnce(request);
    ASSERT_TRUE(reply.ok()) << size << ": " << reply.status();
    ASSERT_TRUE(reply->payload() == request.payload()) << size;
  }
}

TEST_P(EveryWay, SaysThatTheServerIsGone) {
  ASSERT_TRUE(CallOnce(RequestOf("first")).ok());
  (*server_)->Stop();
  EXPECT_THAT(CallOnce(RequestOf("second")).status(), HasCode(absl::StatusCode::kUnavailable));
}

INSTANTIATE_TEST_SUITE_P(Styles, EveryWay,
                         Combine(Values(Family::kTcp4, Family::kTcp6, Family::kUnix),
                                 Values(Style::kBlocking, Style::kCallback, Style::kCoroutine),
                                 Values(Handler::kBlocking, Handler::kAsync, Handler::kCoroutine,
                                        Handler::kInline, Handler::kServerInline)),
                         [](const auto& p) {
                           return absl::StrCat(NameOf(std::get<0>(p.param)),
                                               NameOf(std::get<1>(p.param)), "To",
                                               NameOf(std::get<2>(p.param)));
                         });

// ---- Large ones

class Large : public TestWithParam<Family> {};

TEST_P(Large, FiftyMebibytesGoBothWays) {
  HookedEcho service;
  TestServer server(service, GetParam());
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // Below max_message_bytes (64 MiB), and far more than any buffer on the way.
  constexpr size_t kSize = size_t{50} << 20;
  const EchoRequest request = PayloadOf(kSize);
  const absl::StatusOr<EchoReply> reply = stub.Echo(request, {.timeout = absl::InfiniteDuration()});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->payload() == request.payload());
  // The connection goes on.
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST_P(Large, SmallCallsPassLargeOnesAndAllAreRight) {
  HookedEcho service;
  TestServer server(service, GetParam());
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult large, small;
  // Large enough that a small call behind it would wait noticeably if frames did not take turns.
  const EchoRequest request = PayloadOf(size_t{6} << 20);
  for (int i = 0; i < 4; ++i) {
    stub.EchoAsync(request, {.timeout = absl::InfiniteDuration()}, Into(large));
    for (int j = 0; j < 10; ++j) {
      stub.EchoAsync(RequestOf(absl::StrCat(i, "/", j)), {.timeout = absl::InfiniteDuration()},
                     Into(small));
    }
  }
  for (const auto& reply : large.WaitForAll(4)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_TRUE(reply->payload() == request.payload());
  }
  for (const auto& reply : small.WaitForAll(40)) EXPECT_TRUE(reply.ok()) << reply.status();
}

TEST_P(Large, OverTheLimitEndsTheCallWithBothNumbersAndTheSetting) {
  HookedEcho service;
  ServerOptions options;
  options.limits.max_message_bytes = 100'000;
  TestServer server(service, std::move(options), GetParam());
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ConsumeRequest request;
  request.set_payload(Pattern(100'000));  // its field's header is over
  EXPECT_THAT(stub.Consume(request).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("100004"), HasSubstr("100000"),
                             HasSubstr("max_message_bytes of the server"))));
  ProduceRequest produce;
  produce.set_bytes(100'000);
  EXPECT_THAT(stub.Produce(produce).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("100004"), HasSubstr("100000"),
                             HasSubstr("max_message_bytes of the server"))));
  // The largest payload that fits with its field's tag and length (4 bytes).
  produce.set_bytes(99'996);
  EXPECT_TRUE(stub.Produce(produce).ok());
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST_P(Large, TheChannelsLimitHoldsForRequestsAndReplies) {
  HookedEcho service;
  TestServer server(service, GetParam());
  ChannelOptions options;
  options.limits.max_message_bytes = 50'000;
  const auto channel = server.Connect(std::move(options));
  EchoService::Stub stub(*channel);
  ConsumeRequest request;
  request.set_payload(Pattern(50'000));
  for (int i = 0; i < 2; ++i) {  // while it connects, and when it is up
    ClientContext context;
    EXPECT_THAT(stub.Consume(request, {.context = &context}).status(),
                IsStatus(absl::StatusCode::kResourceExhausted,
                         HasSubstr("max_message_bytes of the channel")));
    EXPECT_FALSE(context.may_have_been_executed());
    ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  }
  ProduceRequest produce;
  produce.set_bytes(50'000);
  EXPECT_THAT(stub.Produce(produce).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       HasSubstr("max_message_bytes of the channel")));
  EXPECT_EQ(server->connections().accepted, 1);
}

INSTANTIATE_TEST_SUITE_P(Families, Large, Values(Family::kTcp4, Family::kUnix),
                         [](const auto& p) { return NameOf(p.param); });

// ---- Where callers go on

TEST(CallbackStyle, RunsOnTheChannelsThreadOrOnTheExecutorThatWasGiven) {
  HookedEcho service;
  TestServer server(service);
  const auto runtime = RuntimeOf();
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  Awaited<Place> places;
  const auto note = [&](absl::StatusOr<EchoReply> r) {
    EXPECT_TRUE(r.ok()) << r.status();
    places.Add(Place());
  };
  stub.EchoAsync(RequestOf("a"), {}, note);  // while it connects
  EXPECT_EQ(places.WaitForAll(1)[0].loop, runtime->loops().At(0).loop.get());
  stub.EchoAsync(RequestOf("b"), {}, note);
  EXPECT_EQ(places.WaitForAll(2)[1].loop, runtime->loops().At(0).loop.get());
  stub.EchoAsync(RequestOf("c"), {.executor = *runtime->workers()}, note);
  const Place c = places.WaitForAll(3)[2];
  EXPECT_EQ(c.loop, nullptr);
  EXPECT_EQ(c.executor, *runtime->workers());
}

TEST(CallbackStyle, TellsErrorsOnTheExecutorToo) {
  const auto runtime = RuntimeOf();
  const auto channel = ChannelTo("unix:/nowhere/at/all", {.runtime = runtime});
  EchoService::Stub stub(*channel);
  Awaited<Place> places;
  const auto note = [&](absl::StatusOr<EchoReply> r) {
    EXPECT_THAT(r.status(), HasCode(absl::StatusCode::kUnavailable));
    places.Add(Place());
  };
  // Two that end with the attempt to connect or in the pause behind it, and one whose deadline has
  // passed.
  stub.EchoAsync(RequestOf("a"), {.executor = *runtime->workers()}, note);
  stub.EchoAsync(RequestOf("b"), {}, note);
  stub.EchoAsync(RequestOf("c"), {.timeout = absl::Nanoseconds(-1)},
                 [&](absl::StatusOr<EchoReply>) { places.Add(Place()); });
  for (const Place& place : places.WaitForAll(3)) {
    EXPECT_TRUE(place.executor == *runtime->workers() ||
                place.loop == runtime->loops().At(0).loop.get());
  }
}

TEST(CallbackStyle, NeverRunsInsideTheCall) {
  HookedEcho service;
  TestServer server(service);
  const auto runtime = RuntimeOf();
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  Awaited<bool> done;
  // On the loop itself an answer could come at once; it must not.
  runtime->loops().At(0).loop->Post([&](internal::TaskFate) {
    const auto note = [&](absl::StatusOr<EchoReply>) { done.Add(true); };
    stub.EchoAsync(RequestOf("expired"), {.timeout = absl::Nanoseconds(-1)}, note);
    stub.EchoAsync(RequestOf("sent"), {}, note);
    EXPECT_EQ(done.count(), 0u);
  });
  done.WaitForAll(2);
}

Coro<Place> PlaceAfterCall(EchoService::Stub& stub, Executor* executor) {
  const absl::StatusOr<EchoReply> reply =
      co_await stub.EchoCoro(RequestOf("x"), {.executor = executor});
  EXPECT_TRUE(reply.ok()) << reply.status();
  co_return Place();
}

TEST(CoroutineStyle, ResumesOnTheLoopUnlessToldOtherwise) {
  HookedEcho service;
  TestServer server(service);
  const auto runtime = RuntimeOf();
  const auto channel = server.Connect({.runtime = runtime});
  EchoService::Stub stub(*channel);
  // Answers when the caller has been suspended: else it would go on at once where it is.
  Watched<int> suspended{0};
  int calls = 0;
  service.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    const int mine = ++calls;
    EXPECT_TRUE(suspended.WaitFor([mine](int n) { return n >= mine; }));
    return absl::OkStatus();
  };
  for (Executor* executor :
       {static_cast<Executor*>(nullptr), static_cast<Executor*>(*runtime->workers())}) {
    Awaited<Place> place;
    Spawn(PlaceAfterCall(stub, executor),
          [&](std::optional<Place> p, std::exception_ptr) { place.Add(*p); });
    suspended.Update([](int& n) { ++n; });
    const Place p = place.Wait();
    EXPECT_NE(p.thread, std::this_thread::get_id());
    EXPECT_EQ(p.loop, executor == nullptr ? runtime->loops().At(0).loop.get() : nullptr);
    EXPECT_EQ(p.executor, executor);
  }
}

TEST(CoroutineStyle, InAHandlerResumesOnTheWorkerPool) {
  HookedEcho inner;
  TestServer inner_server(inner);
  const auto runtime = RuntimeOf({.worker_threads = 2});
  const auto channel = inner_server.Connect({.runtime = runtime});
  EchoService::Stub inner_stub(*channel);
  Awaited<Place> places;
  CoroutineEcho outer;
  outer.before = [&](EchoRequest&) -> Coro<absl::Status> {
    // Before and behind the inner call: both times on a worker, and on no loop.
    places.Add(Place());
    const absl::StatusOr<EchoReply> reply = co_await inner_stub.EchoCoro(RequestOf("inner"));
    places.Add(Place());
    co_return reply.status();
  };
  TestServer outer_server(outer, ServerOptions{.runtime = runtime});
  const auto outer_channel = outer_server.Connect();
  ASSERT_TRUE(EchoService::Stub(*outer_channel).Echo(RequestOf("outer")).ok());
  for (const Place& place : places.WaitForAll(2)) {
    EXPECT_EQ(place.executor, *runtime->workers());
    EXPECT_EQ(place.loop, nullptr);
  }
}

TEST(CoroutineStyle, ManyAwaitManyCallsEach) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  Awaited<int> sums;
  const auto work = [&](int n) -> Coro<int> {
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      EchoRequest request;
      request.set_number(n * 1000 + i);
      const absl::StatusOr<EchoReply> reply = co_await stub.EchoCoro(request);
      if (reply.ok() && reply->number() == request.number()) ++right;
    }
    co_return right;
  };
  for (int n = 0; n < 100; ++n) {
    Spawn(work(n), [&](std::optional<int> right, std::exception_ptr) { sums.Add(*right); });
  }
  for (const int right : sums.WaitForAll(100)) EXPECT_EQ(right, 20);
}

// ---- What must not be

TEST(BlockingStyle, IsRefusedOnAnIoThread) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  Awaited<absl::Status> inside;
  stub.EchoAsync(RequestOf("a"), {}, [&](absl::StatusOr<EchoReply>) {
    inside.Add(stub.Echo(RequestOf("b")).status());
  });
  EXPECT_THAT(inside.Wait(),
              IsStatus(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("weft.test.EchoService/Echo"), HasSubstr("I/O thread"))));
  // In an inline handler as well.
  service.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    return stub.Echo(RequestOf("nested")).status();
  };
  EXPECT_THAT(stub.EchoInline(RequestOf("c")).status(),
              HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(BlockingStyle, WorksInsideAHandler) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.worker_threads = 2});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  service.echo = [&](ServerContext&, EchoRequest& request, EchoReply& reply) {
    // The inner call, which is inline: with two workers a nested blocking one would use up the
    // pool.
    if (request.number() == 0) return absl::OkStatus();
    EchoRequest next;
    next.set_number(request.number() - 1);
    const absl::StatusOr<EchoReply> inner = stub.EchoInline(next);
    if (!inner.ok()) return inner.status();
    reply.set_text("nested");
    return absl::OkStatus();
  };
  EchoRequest request;
  request.set_number(1);
  const absl::StatusOr<EchoReply> reply = stub.Echo(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "nested");
}

TEST(Stubs, TheRequestMayGoWhenTheCallHasStarted) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult result;
  for (int i = 0; i < 3; ++i) {
    // A request of 256 KiB and more is sent from the caller's message while its call starts, and is
    // copied before that returns.
    auto request = std::make_unique<EchoRequest>(PayloadOf(i == 2 ? 500'000 : 100));
    stub.EchoAsync(*request, {}, Into(result));
    // A call that still referred to the caller's message would send this.
    request->set_payload("changed");
    request.reset();
  }
  for (const auto& reply : result.WaitForAll(3)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_TRUE(reply->payload() == Pattern(reply->payload().size()));
  }
}

// ---- Many at once

TEST(ManyCalls, FromManyThreadsAndChannelsOnOneRuntime) {
  constexpr int kThreads = 6, kChannels = 4, kCalls = 300;
  HookedEcho service;
  TestServer server(service, ServerOptions{.io_threads = 2, .worker_threads = 3});
  const auto runtime = RuntimeOf({.io_threads = 2});
  std::vector<std::unique_ptr<Channel>> channels;
  for (int i = 0; i < kChannels; ++i) channels.push_back(server.Connect({.runtime = runtime}));
  std::atomic<int> right{0}, ended{0};
  std::vector<std::thread> threads;
  Watched<int> callbacks{0};
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        EchoService::Stub stub(*channels[static_cast<size_t>((t + i) % kChannels)]);
        const auto seed = static_cast<uint64_t>(t * kCalls + i);
        // On both sides of the 256 bytes that a call keeps by itself, and some far above.
        EchoRequest request = PayloadOf(seed % 5 == 0 ? 5000 : seed % 300, seed);
        request.set_number(static_cast<int64_t>(seed));
        const auto check = [&, seed, payload = request.payload()](absl::StatusOr<EchoReply> r) {
          EXPECT_TRUE(r.ok()) << r.status();
          if (r.ok() && r->number() == static_cast<int64_t>(seed) && r->payload() == payload) {
            right.fetch_add(1);
          }
          ended.fetch_add(1);
        };
        if (i % 3 == 0) {
          check(stub.Echo(request, {.timeout = absl::InfiniteDuration()}));
          callbacks.Update([](int& n) { ++n; });
        } else {
          stub.EchoAsync(request, {.timeout = absl::InfiniteDuration()},
                         [&, check](absl::StatusOr<EchoReply> r) {
                           check(std::move(r));
                           callbacks.Update([](int& n) { ++n; });
                         });
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(callbacks.WaitForValue(kThreads * kCalls));
  EXPECT_EQ(right.load(), kThreads * kCalls);
  EXPECT_EQ(ended.load(), kThreads * kCalls);
  // One connection for each channel, however many threads call on it.
  EXPECT_EQ(server->connections().accepted, kChannels);
}

TEST(ManyCalls, ThousandsUnderWayAtOnce) {
  // Below the default max_calls of 10,000.
  constexpr int kCalls = 5000;
  AnsweringEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult result;
  for (int i = 0; i < kCalls; ++i) {
    EchoRequest request;
    request.set_number(i);
    stub.HangAsync(request, {.timeout = absl::InfiniteDuration()}, Into(result));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(kCalls));
  EXPECT_EQ(result.count(), 0u);
  service.Release();
  // Each reply comes once, in any order.
  std::vector<bool> seen(kCalls, false);
  for (const auto& reply : result.WaitForAll(kCalls)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_FALSE(seen[static_cast<size_t>(reply->number())]);
    seen[static_cast<size_t>(reply->number())] = true;
  }
}

TEST(ManyCalls, OneThreadServes256Channels) {
  HookedEcho service;
  ServerOptions patient;
  patient.limits.handshake_timeout = absl::Seconds(60);  // a machine may be slow
  TestServer server(service, patient);
  const auto runtime = RuntimeOf();
  std::vector<std::unique_ptr<Channel>> channels;
  EchoResult result;
  // All at once: their handshakes go on beside one another on the client's one loop.
  for (int i = 0; i < 256; ++i) {
    channels.push_back(server.Connect({.runtime = runtime, .connect_timeout = absl::Seconds(60)}));
    EchoService::Stub(*channels.back())
        .EchoAsync(RequestOf("x"), {.timeout = absl::Seconds(60)}, Into(result));
  }
  for (const auto& reply : result.WaitForAll(256)) EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(server->connections().open, 256);
  channels.clear();
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 0; }));
  EXPECT_EQ(server->closed(CloseReason::kPeerClosed), 256);
}

}  // namespace
}  // namespace weft::test
