// Calls that no server has taken: they go to the next connection without their caller noticing, and
// end exactly once.
#include "weft/rpc/client/call_starter.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace weft::internal {
namespace {

using absl::StatusCode;
using native::FrameType;
using test::EchoReply;
using test::EchoRequest;
using test::EchoService;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

enum class Style { kBlocking, kCallback, kCoroutine };

// One call, in any style, and how often it ended.
class Call {
 public:
  Call() = default;
  ~Call() {
    if (caller_.joinable()) caller_.join();
  }

  void Start(EchoService::Stub& stub, Style style, const EchoRequest& request,
             absl::Duration timeout = absl::Seconds(60)) {
    // The context counts the attempts. A blocking call needs a thread of its own, for the test
    // plays the server.
    const CallOptions options{.timeout = timeout, .context = &context};
    switch (style) {
      case Style::kBlocking:
        caller_ =
            std::thread([this, &stub, request, options] { End(stub.Echo(request, options)); });
        return;
      case Style::kCallback:
        stub.EchoAsync(request, options,
                       [this](absl::StatusOr<EchoReply> reply) { End(std::move(reply)); });
        return;
      case Style::kCoroutine:
        Spawn(Await(stub, request, options), [](std::optional<int>, std::exception_ptr) {});
        return;
    }
  }
  absl::StatusOr<EchoReply> Wait() {
    EXPECT_TRUE(ends.WaitFor([](int n) { return n > 0; })) << "the call has not ended";
    return result.Get();
  }

  ClientContext context;
  Watched<int> ends{0};
  Watched<absl::StatusOr<EchoReply>> result{absl::UnknownError("has not ended")};

 private:
  void End(absl::StatusOr<EchoReply> reply) {
    result.Set(std::move(reply));
    ends.Update([](int& n) { ++n; });
  }
  Coro<int> Await(EchoService::Stub& stub, EchoRequest request, CallOptions options) {
    End(co_await stub.EchoCoro(request, options));
    co_return 0;
  }

  std::thread caller_;
};

EchoRequest TextRequest(std::string text) {
  EchoRequest request;
  request.set_text(std::move(text));
  return request;
}

class SentAgain : public ::testing::TestWithParam<Style> {
 protected:
  SentAgain() {
    options_.runtime = test::QuietRuntime();
    options_.limits.heartbeat_interval = absl::ZeroDuration();
    // A lost connection is dialled again at once.
    options_.backoff = absl::Milliseconds(1);
    options_.max_backoff = absl::Milliseconds(1);
    Start();
  }
  // A new channel on a new port: the last one may be dialling still.
  void Start() {
    channel_.reset();
    listener_.emplace();
    channel_ = *Channel::Create(listener_->address(), options_);
    stub_ = std::make_unique<EchoService::Stub>(*channel_);
  }
  RawPeer AcceptOpening() {
    RawPeer server = listener_->Accept();
    EXPECT_EQ(server.Read(8), raw::Preface());
    EXPECT_EQ(server.ReadFrame()->header.type, FrameType::kHello);
    return server;
  }
  RawPeer Accept() {
    RawPeer server = AcceptOpening();
    server.Send(raw::Opening());
    return server;
  }
  static RawFrame ReadRequest(RawPeer& server) {
    std::optional<RawFrame> frame = server.ReadFrame(FrameType::kRequest);
    EXPECT_TRUE(frame.has_value()) << "no request";
    return frame.has_value() ? *std::move(frame) : RawFrame();
  }
  // That `server` is sent the call, once more, and answers it.
  static void Serve(RawPeer& server, Call& call, int attempts) {
    const RawFrame request = ReadRequest(server);
    EXPECT_THAT(request.body, HasSubstr("hi"));
    server.Send(raw::Reply(request.header.id, raw::Text("ho")));
    const absl::StatusOr<EchoReply> reply = call.Wait();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->text(), "ho");
    EXPECT_EQ(call.context.attempts(), attempts);
  }

  ChannelOptions options_;
  std::optional<RawListener> listener_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<EchoService::Stub> stub_;
};

TEST_P(SentAgain, WhenGoAwayDoesNotCountIt) {
  Call call;
  ASSERT_TRUE(call.context.metadata().Add("tenant", "blue").ok());
  call.Start(*stub_, GetParam(), TextRequest("hi"));
  RawPeer first = Accept();
  EXPECT_THAT(ReadRequest(first).body, HasSubstr("blue"));
  // The server has taken no call, so the one under way may go elsewhere.
  first.Send(raw::GoAway(0, "bye"));
  RawPeer second = Accept();
  const RawFrame request = ReadRequest(second);
  EXPECT_THAT(request.body, HasSubstr("blue")) << "its metadata goes along";
  EXPECT_THAT(request.body, HasSubstr("hi"));
  second.Send(raw::Reply(request.header.id, raw::Text("ho")));
  const absl::StatusOr<EchoReply> reply = call.Wait();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "ho");
  EXPECT_EQ(call.context.attempts(), 2);
  EXPECT_EQ(channel_->counts().resent, 1);
  channel_.reset();
  EXPECT_EQ(call.ends.Get(), 1);
}

TEST_P(SentAgain, WhenTheServerSaysThatItWasNotExecuted) {
  Call call;
  call.Start(*stub_, GetParam(), TextRequest("hi"));
  RawPeer server = Accept();
  const RawFrame request = ReadRequest(server);
  // UNAVAILABLE. The connection lives, so the call goes over it once more.
  server.Send(raw::Error(request.header.id, 14, "stopping", /*not_executed=*/true));
  Serve(server, call, 2);
}

TEST_P(SentAgain, ThreeTimesAndNotForEver) {
  Call call;
  call.Start(*stub_, GetParam(), TextRequest("hi"));
  RawPeer server = Accept();
  // The first time, and each time that it is sent again.
  for (int i = 0; i < 1 + CallStarter::kMaxResends; ++i) {
    server.Send(raw::Error(ReadRequest(server).header.id, 14, "stopping", true));
  }
  const absl::Status status = call.Wait().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "call weft.test.EchoService/Echo: attempt 4: stopping");
  EXPECT_EQ(call.context.attempts(), 4);
  EXPECT_FALSE(call.context.may_have_been_executed());
}

TEST_P(SentAgain, NotWhenItMayHaveBeenExecuted) {
  Call call;
  call.Start(*stub_, GetParam(), TextRequest("hi"));
  RawPeer server = Accept();
  ReadRequest(server);
  // The request has left, and no word came back: the server may have executed it.
  server.Close();
  EXPECT_EQ(call.Wait().status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(call.context.may_have_been_executed());
  EXPECT_EQ(call.context.attempts(), 1);
  EXPECT_EQ(channel_->counts().resent, 0);
}

TEST_P(SentAgain, NotWhenTheServerIsOverloaded) {
  Call call;
  call.Start(*stub_, GetParam(), TextRequest("hi"));
  RawPeer server = Accept();
  // RESOURCE_EXHAUSTED: sent again at once, the call would only add to the load.
  server.Send(raw::Error(ReadRequest(server).header.id, 8, "full", true));
  EXPECT_EQ(call.Wait().status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(call.context.attempts(), 1);
}

TEST_P(SentAgain, WhenTheConnectionIsLostBeforeItsFirstByte) {
  // Nothing arrives on the first connection any more: the call stays in this process.
  constexpr size_t kBuffer = 64 << 10;
  test::HeldEcho service;
  const auto network = InProcessNetwork::Create({.buffer_bytes = kBuffer});
  Server server({.runtime = options_.runtime, .network = network});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start("inproc:echo"), absl::OkStatus());
  options_.network = network;
  channel_ = *Channel::Create("inproc:echo", options_);
  EchoService::Stub stub(*channel_);
  ASSERT_TRUE(stub.Echo(TextRequest("first")).ok());
  const auto bytes_out = [this] { return channel_->connections().at(0).bytes_out; };
  const auto arrived = [&server] { return server.connection_list().at(0).bytes_in; };
  // Bytes are written as far as the buffer goes, and do not arrive.
  ASSERT_TRUE(network->Hold(0));
  EchoRequest large;
  large.set_payload(std::string(10 * kBuffer, 'x'));
  Call blocks, call;
  blocks.Start(stub, Style::kCallback, large);
  // The way is full. Until then small calls go between the pieces of the large one.
  ASSERT_TRUE(PollUntil([&] { return bytes_out() == arrived() + kBuffer; }));
  const size_t under_way = channel_->connections().at(0).calls;
  call.Start(stub, GetParam(), TextRequest("hi"));
  // A blocking caller has its own thread.
  ASSERT_TRUE(PollUntil([&] { return channel_->connections().at(0).calls > under_way; }));
  ASSERT_TRUE(network->Cut(0));
  // A part of the large request has been written, so it may not be sent again.
  EXPECT_EQ(blocks.Wait().status().code(), StatusCode::kUnavailable);
  const absl::StatusOr<EchoReply> reply = call.Wait();
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "hi");
  EXPECT_EQ(call.context.attempts(), 2);
  EXPECT_EQ(service.echoed.Get(), 2) << "the first and the small one, once";
  channel_.reset();
}

// The call has come back from the first connection and waits for the second.
class CameBack : public SentAgain {
 protected:
  RawPeer ComeBack(Call& call, absl::Duration timeout) {
    call.Start(*stub_, GetParam(), TextRequest("hi"), timeout);
    RawPeer first = Accept();
    ReadRequest(first);
    first.Send(raw::GoAway(0, "bye"));
    // No Hello follows on the second connection: the call waits for it.
    return AcceptOpening();
  }
};

TEST_P(CameBack, IsCancelled) {
  Call call;
  RawPeer second = ComeBack(call, absl::Seconds(60));
  call.context.Cancel();
  EXPECT_EQ(call.Wait().status().code(), StatusCode::kCancelled);
  EXPECT_FALSE(call.context.may_have_been_executed());
  channel_.reset();
  EXPECT_EQ(call.ends.Get(), 1);
}

TEST_P(CameBack, HasNoTimeLeft) {
  Call call;
  RawPeer second = ComeBack(call, absl::Milliseconds(300));
  EXPECT_EQ(call.Wait().status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(call.context.may_have_been_executed());
  channel_.reset();
  EXPECT_EQ(call.ends.Get(), 1);
}

TEST_P(CameBack, LosesItsChannel) {
  Call call;
  RawPeer second = ComeBack(call, absl::Seconds(60));
  channel_.reset();
  const absl::Status status = call.Wait().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("attempt 2: "));
  EXPECT_FALSE(call.context.may_have_been_executed());
  EXPECT_EQ(call.ends.Get(), 1);
}

TEST_P(CameBack, FailsWithTheNextAttemptToConnect) {
  Call call;
  RawPeer second = ComeBack(call, absl::Seconds(60));
  // Nobody listens any more, so the next attempt to connect fails.
  listener_.reset();
  second.Close();
  const absl::Status status = call.Wait().status();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("call weft.test.EchoService/Echo: attempt 2: "),
                    HasSubstr("(to 127.0.0.1:")));
  EXPECT_FALSE(call.context.may_have_been_executed());
}

const auto kNameOfStyle = [](const ::testing::TestParamInfo<Style>& info) {
  constexpr const char* kNames[] = {"Blocking", "Callback", "Coroutine"};
  return std::string(kNames[static_cast<int>(info.param)]);
};
INSTANTIATE_TEST_SUITE_P(Styles, SentAgain,
                         ::testing::Values(Style::kBlocking, Style::kCallback, Style::kCoroutine),
                         kNameOfStyle);
INSTANTIATE_TEST_SUITE_P(Styles, CameBack,
                         ::testing::Values(Style::kBlocking, Style::kCallback, Style::kCoroutine),
                         kNameOfStyle);

using SentAgainBySize = SentAgain;

TEST_P(SentAgainBySize, OnlyWhatIsKept) {
  // A blocking caller still has its request, however large; others keep what is small.
  const bool blocking = GetParam() == Style::kBlocking;
  // Just as much as is kept with the field's tag and length, then more, and more than a frame.
  for (const size_t size : {OutboundCall::kMaxKept - 3, size_t{5000}, size_t{100'000}}) {
    Call call;
    EchoRequest request;
    request.set_payload(std::string(size, 'p'));
    // The sizes are on the sides that the test means.
    ASSERT_EQ(request.ByteSizeLong() <= OutboundCall::kMaxKept, size == OutboundCall::kMaxKept - 3);
    // A request that waits for the first connection is kept in any case.
    Call first_call;
    first_call.Start(*stub_, Style::kCallback, TextRequest("hi"));
    RawPeer first = Accept();
    Serve(first, first_call, 1);
    call.Start(*stub_, GetParam(), request);
    const uint64_t id = ReadRequest(first).header.id;
    // The call before was taken, this one was not.
    first.Send(raw::GoAway(id - 1, "bye"));
    if (!blocking && size > OutboundCall::kMaxKept) {
      const absl::Status status = call.Wait().status();
      EXPECT_EQ(status.code(), StatusCode::kUnavailable);
      EXPECT_THAT(std::string(status.message()), HasSubstr("refused, the server is going away"));
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr("attempt")));
    } else {
      RawPeer second = Accept();
      second.Send(raw::Reply(ReadRequest(second).header.id, raw::Text("ho")));
      EXPECT_TRUE(call.Wait().ok());
    }
    Start();
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, SentAgainBySize,
                         ::testing::Values(Style::kBlocking, Style::kCallback, Style::kCoroutine),
                         kNameOfStyle);

class DroppedCoroutine : public SentAgain {};

TEST_F(DroppedCoroutine, IsNotSentAgain) {
  auto context = std::make_unique<ClientContext>();
  // Without a deadline: it would end the call as well, and the CANCEL would say nothing.
  std::optional<CoroCall<EchoReply>> call = stub_->EchoCoro(
      TextRequest("hi"), {.timeout = absl::InfiniteDuration(), .context = context.get()});
  RawPeer first = Accept();
  ReadRequest(first);
  call.reset();
  EXPECT_TRUE(first.ReadFrame(FrameType::kCancel).has_value());
  // The context is gone with the coroutine. Sending the call again would read its metadata.
  context.reset();
  first.Send(raw::GoAway(0, "bye"));
  // It takes calls, so a call that came back from the first would be sent here.
  RawPeer second = Accept();
  Call other;
  other.Start(*stub_, Style::kCallback, TextRequest("other"));
  const RawFrame request = ReadRequest(second);
  EXPECT_THAT(request.body, AllOf(HasSubstr("other"), Not(HasSubstr("hi"))));
  second.Send(raw::Reply(request.header.id, raw::Text("ho")));
  EXPECT_TRUE(other.Wait().ok());
  EXPECT_EQ(channel_->counts().resent, 0);
  channel_.reset();
  EXPECT_FALSE(second.ReadFrame(FrameType::kRequest).has_value());
}

}  // namespace
}  // namespace weft::internal
