// A call that its caller gives up ends with CANCELLED, at any time, once; and its handler is told.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/socket.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

// Connections are accepted by the kernel alone: nobody ever says a word on them, so a channel's
// handshake goes on until its timeout.
class SilentListener {
 public:
  SilentListener() {
    const auto address = internal::SocketAddress::Parse(target());
    socket_ = *internal::Socket::Listen(*address, 16);
  }
  std::string target() const { return absl::StrCat("unix:", dir_.path(), "/s"); }

 private:
  TempDir dir_;
  internal::Socket socket_;
};

TEST(Cancel, BeforeTheCallStartsMeansNotSent) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 2; ++i) {  // without and with a connection
    ClientContext context;
    context.Cancel();
    EXPECT_TRUE(context.cancelled());
    EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = kForever, .context = &context}).status(),
                IsStatus(absl::StatusCode::kCancelled, HasSubstr("weft.test.EchoService/Echo")));
    EXPECT_FALSE(context.may_have_been_executed());
    EXPECT_EQ(service.entered.load(), i);
    ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  }
}

TEST(Cancel, WhileWaitingForAConnection) {
  SilentListener listener;
  const auto channel = ChannelTo(listener.target());
  EchoService::Stub stub(*channel);
  EchoResult cancelled, other;
  ClientContext context, other_context;
  stub.EchoAsync(RequestOf("other"), {.timeout = kForever, .context = &other_context}, Into(other));
  stub.EchoAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(cancelled));
  context.Cancel();
  EXPECT_THAT(cancelled.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_FALSE(context.may_have_been_executed());
  // The other call waits on, in the same room.
  EXPECT_EQ(other.count(), 0u);
  other_context.Cancel();
  EXPECT_THAT(other.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  context.Cancel();  // ended: nothing happens
}

TEST(Cancel, InFlightReachesTheHandler) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult result;
  ClientContext context;
  stub.HangAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(result));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  context.Cancel();
  EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_TRUE(context.may_have_been_executed());
  EXPECT_TRUE(service.seen_cancelled.WaitForValue(1));
  // The handler's answer still comes, and is dropped.
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == 1; }));
  context.Cancel();
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_EQ(result.count(), 1u);
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST(Cancel, FromAnotherThreadEndsABlockingCall) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ClientContext context;
  std::thread other([&] {
    EXPECT_TRUE(service.hanging.WaitForValue(1));
    context.Cancel();
  });
  EXPECT_THAT(stub.Hang(RequestOf("x"), {.timeout = kForever, .context = &context}).status(),
              HasCode(absl::StatusCode::kCancelled));
  other.join();
}

TEST(Cancel, OfACallInTheServersQueueMeansNotExecuted) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.worker_threads = 1});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult first, second;
  stub.HangAsync(RequestOf("holds the worker"), {.timeout = kForever}, Into(first));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  ClientContext context;
  stub.EchoAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(second));
  // Behind the queued call on the same connection: when this has been answered, the other has been
  // read and queued.
  ASSERT_TRUE(stub.EchoInline(RequestOf("y")).ok());
  context.Cancel();
  EXPECT_THAT(second.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  ASSERT_TRUE(stub.EchoInline(RequestOf("behind the cancelling")).ok());
  const int64_t entered = service.entered.load();
  service.release.Notify();
  EXPECT_TRUE(first.Wait().ok());
  // The refusal of the cancelled call comes as a late reply: its place in the queue has been
  // passed.
  EXPECT_TRUE(PollUntil([&] { return channel->counts().late_replies == 1; }));
  EXPECT_EQ(service.entered.load(), entered);
}

TEST(Cancel, AfterTheEndDoesNothing) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ClientContext context;
  ASSERT_TRUE(stub.Echo(RequestOf("x"), {.context = &context}).ok());
  context.Cancel();
  ASSERT_TRUE(stub.Echo(RequestOf("y")).ok());
  // A CANCEL for a call that has ended would have been answered, and that answer counted here.
  EXPECT_EQ(channel->counts().late_replies, 0);
}

TEST(Cancel, AndTheAnswerMayMeetAndTheCallEndsOnce) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  constexpr size_t kCalls = 500;
  std::vector<std::unique_ptr<ClientContext>> contexts;
  EchoResult result;
  for (size_t i = 0; i < kCalls; ++i) {
    contexts.push_back(std::make_unique<ClientContext>());
    stub.EchoAsync(RequestOf("x"), {.timeout = kForever, .context = contexts.back().get()},
                   Into(result));
    // Half of the cancels meet calls that may have been answered already; the rest comes when all
    // are under way.
    if (i % 2 == 0) contexts[i / 2]->Cancel();
  }
  for (const auto& context : contexts) context->Cancel();
  for (const auto& reply : result.WaitForAll(kCalls)) {
    EXPECT_TRUE(reply.ok() || absl::IsCancelled(reply.status())) << reply.status();
  }
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_EQ(result.count(), kCalls);
}

// ---- By dropping a coroutine call

TEST(DroppedCall, IsCancelledInFlight) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  {
    const CoroCall<EchoReply> call = stub.HangCoro(RequestOf("x"), {.timeout = kForever});
    ASSERT_TRUE(service.hanging.WaitForValue(1));
  }
  EXPECT_TRUE(service.seen_cancelled.WaitForValue(1));
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
}

Coro<absl::Status> HangWithContext(EchoService::Stub& stub) {
  // The call refers to this context, which goes with the coroutine's frame.
  ClientContext context;
  EXPECT_TRUE(context.metadata().Add("key", std::string(1000, 'x')).ok());
  const auto reply = co_await stub.HangCoro(
      RequestOf("x"), {.timeout = absl::InfiniteDuration(), .context = &context});
  co_return reply.status();
}

// A coroutine that can be destroyed while it is suspended.
struct Owned {
  struct promise_type {
    Owned get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };
  std::coroutine_handle<promise_type> handle;
};

Owned Begin(EchoService::Stub& stub) {
  (void)co_await HangWithContext(stub);
  ADD_FAILURE() << "a destroyed coroutine went on";
}

TEST(DroppedCoroutine, MayTakeItsContextWithItWhileItsCallIsInFlight) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  for (int i = 1; i <= 50; ++i) {
    const Owned coroutine = Begin(stub);
    // Every second one is destroyed only when its handler runs; the others race with their own
    // request.
    if (i % 2 == 0) {
      ASSERT_TRUE(service.hanging.WaitFor([](int n) { return n > 0; }));
    }
    coroutine.handle.destroy();
  }
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_TRUE(service.hanging.WaitForValue(0));
}

TEST(DroppedCoroutine, MayTakeItsContextWithItWhileItsCallWaits) {
  HookedEcho service;
  for (int i = 0; i < 20; ++i) {
    TestServer server(service, Family::kUnix);
    const auto channel = server.Connect();
    EchoService::Stub stub(*channel);
    // The loop takes calls out of the waiting room as the connection comes up, while this thread
    // cancels them.
    std::vector<Owned> coroutines;
    for (int j = 0; j < 20; ++j)
      coroutines.push_back(Begin(stub));  // the connection comes meanwhile
    for (const Owned& coroutine : coroutines) coroutine.handle.destroy();
    EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  }
  // Here no connection ever comes up: all calls are cancelled where they wait.
  SilentListener listener;
  const auto channel = ChannelTo(listener.target());
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 20; ++i) Begin(stub).handle.destroy();
}

TEST(DroppedCoroutine, MayGoWithItsChannelThereafter) {
  HookedEcho service;
  TestServer server(service);
  for (int i = 0; i < 20; ++i) {
    auto channel = server.Connect();
    EchoService::Stub stub(*channel);
    const Owned coroutine = Begin(stub);
    coroutine.handle.destroy();
    channel.reset();
  }
}

}  // namespace
}  // namespace weft::test
