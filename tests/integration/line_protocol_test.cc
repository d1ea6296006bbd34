// A second protocol on the same port and the same channels: what a server and a channel do is not
// the native protocol's doing.
#include "tests/support/line_protocol.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/rpc/default_protocols.h"

namespace weft::test {
namespace {

using testing::HasSubstr;

ServerOptions BothProtocols() {
  ServerOptions options;
  options.protocols = {kLineProtocol};
  for (const Protocol& protocol : internal::DefaultProtocols())
    options.protocols.push_back(protocol);
  return options;
}

ChannelOptions OverLines() {
  ChannelOptions options;
  options.protocol = kLineProtocol;
  return options;
}

TEST(ASecondProtocol, CallsBesideNativeOnesOnOnePort) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  const auto lines = server.Connect(OverLines());
  const auto native = server.Connect();
  for (int i = 0; i < 100; ++i) {
    for (Channel* channel : {lines.get(), native.get()}) {
      EchoService::Stub stub(*channel);
      const EchoRequest request = PayloadOf(static_cast<size_t>(i * 37));
      const absl::StatusOr<EchoReply> reply = stub.Echo(request);
      ASSERT_TRUE(reply.ok()) << reply.status();
      EXPECT_EQ(reply->payload(), request.payload());
    }
  }
  // One connection each for all hundred calls.
  EXPECT_EQ(lines->counts().connects, 1);
  EXPECT_EQ(server->connection_list().size(), 2u);
}

TEST(ASecondProtocol, CarriesErrorsAsTheyAre) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  const auto channel = server.Connect(OverLines());
  FailRequest request;
  request.set_code(static_cast<int>(absl::StatusCode::kNotFound));
  request.set_message("no such thing");
  EXPECT_THAT(EchoService::Stub(*channel).Fail(request).status(),
              IsStatus(absl::StatusCode::kNotFound, HasSubstr("no such thing")));
}

TEST(ASecondProtocol, TellsTheServerThatACallsTimeIsOver) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  const auto channel = server.Connect(OverLines());
  const absl::Status late =
      EchoService::Stub(*channel).Hang({}, {.timeout = absl::Milliseconds(50)}).status();
  EXPECT_THAT(late, HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(service.seen_cancelled.WaitFor([](int n) { return n == 1; }));
}

TEST(ASecondProtocol, TellsTheServerThatACallWasCancelled) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  const auto channel = server.Connect(OverLines());
  ClientContext context;
  Watched<std::optional<absl::Status>> ended;
  EchoService::Stub(*channel).HangAsync(
      {}, {.context = &context}, [&](absl::StatusOr<EchoReply> r) { ended.Set(r.status()); });
  ASSERT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
  context.Cancel();
  ASSERT_TRUE(ended.WaitFor([](const auto& s) { return s.has_value(); }));
  EXPECT_THAT(*ended.Get(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_TRUE(service.seen_cancelled.WaitFor([](int n) { return n == 1; }));
}

TEST(ASecondProtocol, DrainsBeforeItsServerStops) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  const auto channel = server.Connect(OverLines());
  Watched<std::optional<absl::Status>> ended;
  EchoService::Stub(*channel).HangAsync(
      {}, {}, [&](absl::StatusOr<EchoReply> r) { ended.Set(r.status()); });
  ASSERT_TRUE(service.hanging.WaitFor([](int n) { return n == 1; }));
  std::thread stops([&] { server->Stop(absl::InfiniteDuration()); });
  // The server waits for the call that hangs.
  ASSERT_TRUE(PollUntil([&] { return server->state() == ServerState::kDraining; }));
  service.release.Notify();
  stops.join();
  ASSERT_TRUE(ended.WaitFor([](const auto& s) { return s.has_value(); }));
  EXPECT_THAT(*ended.Get(), HasCode(absl::StatusCode::kOk));
}

TEST(ASecondProtocol, AsksTheSameAuthenticator) {
  HookedEcho service;
  ServerOptions options = BothProtocols();
  options.authenticator = [](std::string_view token,
                             const std::string&) -> absl::StatusOr<std::string> {
    if (token == "let me in") return "somebody";
    return absl::UnauthenticatedError("wrong token");
  };
  // Written by a handler that has answered when the test reads it.
  std::string identity;
  service.echo = [&](ServerContext& context, EchoRequest&, EchoReply&) {
    identity = context.identity();
    return absl::OkStatus();
  };
  TestServer server(service, std::move(options));
  ChannelOptions right = OverLines(), wrong = OverLines();
  right.auth_token = "let me in";
  wrong.auth_token = "please";
  EXPECT_TRUE(EchoService::Stub(*server.Connect(std::move(right))).Echo({}).ok());
  EXPECT_EQ(identity, "somebody");
  EXPECT_THAT(EchoService::Stub(*server.Connect(std::move(wrong))).Echo({}).status(),
              IsStatus(absl::StatusCode::kUnauthenticated, HasSubstr("wrong token")));
}

TEST(ASecondProtocol, AFirstByteOfNeitherIsRefused) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  RawPeer peer = RawPeer::ConnectTo(server.port());
  // Differs from LINE in its third byte, and from the native preface in its first.
  peer.Send("LIME juice\n");
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_TRUE(PollUntil([&] { return server->closed(CloseReason::kUnknownProtocol) == 1; }));
  // Others are not disturbed.
  EXPECT_TRUE(EchoService::Stub(*server.Connect(OverLines())).Echo({}).ok());
  EXPECT_TRUE(EchoService::Stub(*server.Connect()).Echo({}).ok());
}

TEST(ASecondProtocol, IsKnownByItsFirstBytesHoweverTheyCome) {
  HookedEcho service;
  TestServer server(service, BothProtocols());
  RawPeer peer = RawPeer::ConnectTo(server.port());
  // An opening with an empty token.
  peer.SendByByte("LINE \n");
  EXPECT_EQ(peer.Read(8), "WELCOME\n");
  RawPeer other = RawPeer::ConnectTo(server.port());
  other.SendByByte(raw::Opening());
  EXPECT_EQ(other.Read(8), raw::Preface());
}

TEST(ASecondProtocol, AChannelCannotDialOneThatOnlyAccepts) {
  ChannelOptions options = OverLines();
  options.protocol->dial = nullptr;
  EXPECT_THAT(
      Channel::Create("127.0.0.1:1", std::move(options)).status(),
      IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("protocol line does not dial")));
}

}  // namespace
}  // namespace weft::test
