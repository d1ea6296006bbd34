// Lines that are printed: those of libraries go to the sink and are thinned out, peers' texts are
// escaped, and a standard error that nobody reads stops nothing.
#include "tests/support/log_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/in_process_network.h"
#include "weft/core/manual_clock.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A string field whose bytes are no UTF-8: protobuf refuses it, and writes a line about it. As an
// unknown field it passes this side's protobuf.
template <typename Message>
Message WithBadText(int field) {
  Message message;
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(field, "\xff\xfe");
  return message;
}

constexpr int kHello = static_cast<int>(native::FrameType::kHello);
constexpr int kPing = static_cast<int>(native::FrameType::kPing);
constexpr int kGoAway = static_cast<int>(native::FrameType::kGoAway);

std::shared_ptr<Runtime> LoggingTo(const std::shared_ptr<LogSink>& sink) {
  RuntimeOptions options;
  options.log_sink = sink;
  options.log_level = LogLevel::kDebug;
  return RuntimeOf(std::move(options));
}

// Standard error is a pipe that is full, for as long as this lives.
class FullStderr {
 public:
  FullStderr() : before_(::fcntl(2, F_DUPFD_CLOEXEC, 3)) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    reader_ = ends[0];
    const std::string block(4096, '-');
    while (::write(ends[1], block.data(), block.size()) > 0) {
    }
    EXPECT_EQ(::fcntl(ends[1], F_SETFL, 0), 0);  // waits from now on
    EXPECT_EQ(::dup2(ends[1], 2), 2);
    ::close(ends[1]);
  }
  ~FullStderr() {
    ::dup2(before_, 2);
    ::close(before_);
    ::close(reader_);
  }

 private:
  const int before_;
  int reader_;
};

TEST(LogLines, BadStringsOfAClientGoToTheServersSinkThinnedOut) {
  auto sink = std::make_shared<LogLines>();
  HookedEcho service;
  TestServer server(service, {.runtime = LoggingTo(sink)});
  auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  const auto request = WithBadText<EchoRequest>(2);
  // Nothing may come here: the sink gets all lines.
  testing::internal::CaptureStderr();
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(absl::IsInternal(stub.Echo(request).status()));
    EXPECT_TRUE(absl::IsInternal(stub.EchoInline(request).status()));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(sink->Text(), HasSubstr("protobuf: String field 'weft.test.EchoRequest.text'"));
  // 600 requests were bad; ten lines a second are let through.
  EXPECT_LT(sink->Count(), 200u);
}

TEST(LogLines, BadStringsOfAServerGoToTheChannelsSink) {
  auto sink = std::make_shared<LogLines>();
  HookedEcho service;
  service.echo = [](ServerContext&, EchoRequest&, EchoReply& reply) {
    reply = WithBadText<EchoReply>(2);
    return absl::OkStatus();
  };
  TestServer server(service);
  auto channel = server.Connect({.runtime = LoggingTo(sink)});
  EchoService::Stub stub(*channel);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(absl::IsInternal(stub.Echo(RequestOf("x")).status()));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_THAT(sink->Text(), HasSubstr("protobuf: String field 'weft.test.EchoReply.text'"));
}

// Lines about messages that the application parses itself go where they went before.
TEST(LogLines, BadStringsThatTheApplicationParsesGoWhereTheyWent) {
  const std::string bytes = WithBadText<EchoRequest>(2).SerializeAsString();
  HookedEcho service;
  TestServer server(service);
  testing::internal::CaptureStderr();
  EchoRequest parsed;
  EXPECT_FALSE(parsed.ParseFromString(bytes));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("String field 'weft.test.EchoRequest.text'"));
}

TEST(LogLines, HellosWhoseNamesAreNoTextAreTakenWithoutALine) {
  auto sink = std::make_shared<LogLines>();
  HookedEcho service;
  TestServer server(service, {.runtime = LoggingTo(sink)});
  testing::internal::CaptureStderr();
  for (int i = 0; i < 100; ++i) {
    RawPeer peer = RawPeer::ConnectTo(server->port());
    // node and cluster: no UTF-8
    const std::string names("\x5a\x03\xff\xfe\x80\x62\x02\xc0\x80", 9);
    peer.Send(raw::Preface() + raw::Frame(kHello, 0, 0, 0, raw::HelloBody() + names));
    EXPECT_EQ(peer.Read(raw::Preface().size()), raw::Preface());
    EXPECT_TRUE(peer.ReadFrame(native::FrameType::kHello).has_value());
    peer.Send(raw::Frame(kPing, 0, 0, 1));
    EXPECT_TRUE(peer.ReadFrame(native::FrameType::kPing).has_value()) << "it was taken";
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  // The names are bytes in the .proto file, so protobuf does not look for UTF-8.
  EXPECT_THAT(sink->Text(), Not(HasSubstr("protobuf")));
}

TEST(LogLines, WhatAPeerSaysReachesNoTerminalAsItIs) {
  auto sink = std::make_shared<LogLines>();
  RawListener listener;
  ChannelOptions options;
  options.runtime = LoggingTo(sink);
  Watched<std::string> why;
  options.on_connection = [&why](const ConnectionEvent& event) {
    if (event.state == ConnectionState::kGoingAway) why.Set(event.why.ToString());
  };
  auto channel = ChannelTo(listener.address(), std::move(options));
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.EchoAsync(RequestOf("x"), {}, Into(result));
  RawPeer peer = listener.Accept();
  peer.Send(raw::Opening());
  EXPECT_EQ(peer.Read(raw::Preface().size()), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(native::FrameType::kRequest).has_value());
  // GOAWAY that has taken no call, with a text.
  peer.Send(raw::Frame(kGoAway, 0, 14, 0, "bye\n2026-01-01 E forged\x1b[2J"));
  // The channel closes the connection, for that reason.
  EXPECT_TRUE(peer.WaitForClose());
  channel.reset();
  EXPECT_FALSE(result.Wait().ok());
  EXPECT_THAT(why.Get(), HasSubstr("bye\\n2026"));
  EXPECT_THAT(sink->Text(), HasSubstr("bye\\n2026-01-01 E forged\\x1b[2J"));
  EXPECT_THAT(sink->Text(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(sink->Text(), Not(HasSubstr("\n2026")));
}

TEST(LogLines, NamesThatAPeerAsksForAreEscapedInErrors) {
  HookedEcho service;
  TestServer server(service);
  auto channel = server.Connect();
  MethodInfo info;
  info.full_name = "no\nsuch\x1b[1m/Method";
  const UnaryMethod<EchoRequest, EchoReply> unknown(info);
  const auto reply = CallBlocking(*channel, unknown, RequestOf("x"), {});
  EXPECT_TRUE(absl::IsUnimplemented(reply.status())) << reply.status();
  EXPECT_THAT(std::string(reply.status().message()),
              HasSubstr("unknown service in no\\nsuch\\x1b[1m/Method"));
}

// A server comes, goes, and comes back at one address, seen by a channel whose time the test turns.
TEST(LogLines, AServerThatIsLostIsToldAsLongAsItLasts) {
  const auto log = std::make_shared<CollectedLog>();
  ManualClock clock;
  RuntimeOptions options;
  options.log_sink = log;
  options.clock = &clock;
  const auto network = InProcessNetwork::Create();
  HookedEcho service;
  const auto serve = [&] {
    auto server = std::make_unique<Server>(
        ServerOptions{.runtime = RuntimeOf(), .network = network, .drain = absl::ZeroDuration()});
    EXPECT_TRUE(server->Register(service).ok());
    EXPECT_TRUE(server->Start("inproc:s").ok());
    return server;
  };
  auto server = serve();
  auto channel =
      ChannelTo("inproc:s", {.runtime = RuntimeOf(std::move(options)), .network = network});
  EchoService::Stub stub(*channel);
  const CallOptions patient = {.timeout = absl::InfiniteDuration(), .wait_for_ready = true};
  ASSERT_TRUE(stub.Echo(RequestOf("x"), patient).ok());
  // Longer than the second after which a connection counts as one that has lasted.
  clock.Advance(absl::Seconds(5));
  server.reset();
  // Each step waits for the attempt that it may have begun.
  const auto step_by = [&](absl::Duration step) {
    const int64_t failed = channel->counts().failed_connects;
    clock.Advance(step);
    EXPECT_TRUE(PollUntil([&] { return channel->counts().failed_connects > failed; }));
  };
  for (int i = 0; i < 8; ++i) step_by(absl::Seconds(15));
  const auto told = log->lines.Get();
  ASSERT_GE(told.size(), 2u);
  EXPECT_LE(told.size(), 4u) << "in two minutes";
  EXPECT_THAT(told[0], HasSubstr("channel: server unreachable: connect: "));
  EXPECT_THAT(told[1], HasSubstr("channel: server still unreachable: connect: "));
  server = serve();
  const int64_t connects = channel->counts().connects;
  clock.Advance(absl::Seconds(15));
  ASSERT_TRUE(PollUntil([&] { return channel->counts().connects > connects; }));
  EXPECT_EQ(log->lines.Get(), told) << "it may be refused yet";
  EXPECT_TRUE(PollUntil([&] {
    clock.Advance(absl::Seconds(1));
    return log->lines.Get().size() > told.size();
  }));
  EXPECT_THAT(log->lines.Get().back(), HasSubstr("channel: server back (inproc:s, after "));
}

TEST(LogLines, EachServerAndChannelHasALevelThatIsChangedWhileItRuns) {
  const auto runtime_log = std::make_shared<CollectedLog>();
  const auto own_log = std::make_shared<CollectedLog>();
  RuntimeOptions options;
  options.log_sink = runtime_log;
  options.log_level = LogLevel::kError;
  const std::shared_ptr<Runtime> runtime = RuntimeOf(std::move(options));
  HookedEcho service;
  TestServer quiet(service, {.runtime = runtime});
  ServerOptions loud_options;
  loud_options.runtime = runtime;
  loud_options.log.sink = own_log;
  TestServer loud(service, std::move(loud_options));
  ChannelOptions channel_options;
  channel_options.runtime = runtime;
  channel_options.log.level = LogLevel::kOff;
  const auto channel = quiet.Connect(std::move(channel_options));
  EXPECT_FALSE(channel->log().Wants(LogLevel::kError));
  EXPECT_FALSE(loud->log().Wants(LogLevel::kWarning)) << "as the runtime's";
  loud->log().SetLevel(LogLevel::kWarning);
  for (TestServer* server : {&quiet, &loud}) {
    RawPeer peer = RawPeer::ConnectTo((*server)->port());
    peer.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(peer.WaitForClose());
  }
  EXPECT_TRUE(own_log->lines.WaitFor([](const auto& all) { return all.size() == 1; }));
  EXPECT_THAT(own_log->lines.Get()[0], HasSubstr("server: unknown protocol"));
  EXPECT_TRUE(runtime_log->lines.Get().empty());
  // Only a log without a level of its own follows the runtime's.
  runtime->log().SetLevel(LogLevel::kInfo);
  EXPECT_TRUE(quiet->log().Wants(LogLevel::kInfo));
  EXPECT_FALSE(loud->log().Wants(LogLevel::kInfo));
  EXPECT_FALSE(channel->log().Wants(LogLevel::kError));
}

TEST(LogLines, AServersOwnThreadsHaveItsLevelToo) {
  const auto log = std::make_shared<CollectedLog>();
  HookedEcho service;
  ServerOptions options;
  options.log.level = LogLevel::kOff;
  options.log.sink = log;
  TestServer server(service, std::move(options));
  const auto refuse = [&] {
    RawPeer peer = RawPeer::ConnectTo(server->port());
    peer.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(peer.WaitForClose());
  };
  refuse();
  server->log().SetLevel(LogLevel::kInfo);
  refuse();
  EXPECT_TRUE(log->lines.WaitFor([](const auto& all) { return !all.empty(); }));
  // The first refusal has no line, for the level was kOff then.
  EXPECT_EQ(log->lines.Get().size(), 1u);
}

TEST(LogLines, AStandardErrorThatNobodyReadsStopsNothing) {
  const FullStderr full;
  HookedEcho service;
  RuntimeOptions noisy;  // to standard error, as by default, but everything
  noisy.log_level = LogLevel::kDebug;
  absl::StatusOr<std::shared_ptr<Runtime>> runtime = Runtime::Create(noisy);
  ASSERT_TRUE(runtime.ok());
  TestServer server(service, {.runtime = *runtime});
  auto channel = server.Connect({.runtime = *runtime});
  EchoService::Stub stub(*channel);
  const auto bad = WithBadText<EchoRequest>(2);
  // Each round makes lines of weft's own and one of protobuf's, on I/O threads that must not wait.
  for (int i = 0; i < 100; ++i) {
    RawPeer peer = RawPeer::ConnectTo(server->port());
    peer.Send("GET / HTTP/1.1\r\n\r\n");
    EXPECT_TRUE(peer.WaitForClose());
    EXPECT_TRUE(absl::IsInternal(stub.EchoInline(bad).status()));
    EXPECT_TRUE(stub.Echo(RequestOf("served")).ok());
  }
}

}  // namespace
}  // namespace weft::test
