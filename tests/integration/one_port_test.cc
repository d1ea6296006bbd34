// Clients with and without a transport's handshake, and of several protocols, on one port.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/stack.h"
#include "tests/support/line_protocol.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/step_transport.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/default_protocols.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::HasSubstr;

std::shared_ptr<StepFactory> FactoryOf(StepScript script) {
  return std::make_shared<StepFactory>(std::move(script));
}

// A server for everybody: answers with the name that the caller's transport has verified.
class OnePort : public testing::Test {
 protected:
  OnePort() {
    service_.echo = [](ServerContext& call, EchoRequest&, EchoReply& reply) {
      reply.set_text(absl::StrCat("<", call.identity(), ">"));
      return absl::OkStatus();
    };
  }
  // `agreed`: what its transport says was agreed on with the client.
  void Serve(const std::string& agreed = "") {
    RuntimeOptions runtime;
    runtime.clock = &clock_;
    runtime.log_sink = log_;
    ServerOptions options;
    options.runtime = RuntimeOf(std::move(runtime));
    options.protocols = {kLineProtocol};
    for (const Protocol& protocol : DefaultProtocols()) options.protocols.push_back(protocol);
    options.transport = factory_ = FactoryOf({.name = "bob", .alpn = agreed});
    options.transport_optional = true;
    options.limits.handshake_timeout = absl::Seconds(5);
    server_ = std::make_unique<TestServer>(service_, std::move(options));
  }
  std::string Call(bool wrapped, bool lines) {
    ChannelOptions options;
    if (wrapped) options.transport = FactoryOf({.name = "ann"});
    if (lines) options.protocol = kLineProtocol;
    const auto channel = server_->Connect(std::move(options));
    const absl::StatusOr<EchoReply> reply =
        EchoService::Stub(*channel).Echo(RequestOf(""), {.timeout = absl::InfiniteDuration()});
    return reply.ok() ? reply->text() : reply.status().ToString();
  }
  RawPeer Connect() { return RawPeer::ConnectTo(server_->port()); }
  [[nodiscard]] bool Closed(CloseReason reason, int64_t times) {
    return PollUntil([&] { return (*server_)->closed(reason) == times; });
  }
  [[nodiscard]] bool Says(const std::string& words) {
    return log_->lines.WaitFor([&](const std::vector<std::string>& lines) {
      return std::ranges::any_of(
          lines, [&](const std::string& line) { return line.find(words) != std::string::npos; });
    });
  }

  ManualClock clock_;
  HookedEcho service_;
  std::shared_ptr<CollectedLog> log_ = std::make_shared<CollectedLog>();
  std::shared_ptr<StepFactory> factory_;
  std::unique_ptr<TestServer> server_;
};

TEST_F(OnePort, TakesClientsWithAndWithoutTheTransportInEveryProtocol) {
  Serve();
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Call(/*wrapped=*/false, /*lines=*/false), "<>");
    EXPECT_EQ(Call(/*wrapped=*/false, /*lines=*/true), "<>");
    EXPECT_EQ(Call(/*wrapped=*/true, /*lines=*/false), "<ann>");
    EXPECT_EQ(Call(/*wrapped=*/true, /*lines=*/true), "<ann>");
  }
  // Three rounds with two wrapped ones each.
  EXPECT_EQ(factory_->requests.Get().size(), 6u) << "plain ones are not wrapped";
}

TEST_F(OnePort, GoesByWhatTheTransportHasAgreedOnAndNotByFirstBytes) {
  Serve("line/1");
  EXPECT_EQ(Call(/*wrapped=*/true, /*lines=*/true), "<ann>");
  EXPECT_EQ(Call(/*wrapped=*/false, /*lines=*/false), "<>");
  // A session of lines gets the native preface and refuses it; a sniffer would have chosen another
  // one.
  RawPeer peer = Connect();
  peer.Send(StepFactory::Greeting('A', "ann") + "C" + raw::Opening() + "\n");
  // Five bytes: 'B', the length of the name, and "bob".
  EXPECT_EQ(peer.Read(5), StepFactory::Greeting('B', "bob"));
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_TRUE(Says("a line that begins with"));
  EXPECT_EQ((*server_)->closed(CloseReason::kUnknownProtocol), 0);
}

TEST_F(OnePort, ClosesAConnectionThatAgreedOnWhatNoRowIs) {
  Serve("h3");
  RawPeer peer = Connect();
  peer.Send(StepFactory::Greeting('A', "ann") + "C" + raw::Opening());
  EXPECT_EQ(peer.Read(5), StepFactory::Greeting('B', "bob"));
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_TRUE(Closed(CloseReason::kUnknownProtocol, 1));
  EXPECT_TRUE(
      Says("its transport agreed on the protocol \"h3\" (ALPN), and this listener takes "
           "line/1, weft/1"));
  EXPECT_EQ(Call(/*wrapped=*/false, /*lines=*/false), "<>") << "others are not disturbed";
}

TEST_F(OnePort, IsToldApartHoweverTheFirstBytesCome) {
  Serve();
  RawPeer native = Connect(), lines = Connect(), wrapped = Connect();
  native.SendByByte(raw::Opening());
  EXPECT_EQ(native.Read(8), raw::Preface());
  lines.SendByByte("LINE \n");
  EXPECT_EQ(lines.Read(8), "WELCOME\n");
  wrapped.SendByByte(StepFactory::Greeting('A', "ann"));
  EXPECT_EQ(wrapped.Read(5), StepFactory::Greeting('B', "bob"));
  wrapped.SendByByte("C" + raw::Opening());
  EXPECT_EQ(wrapped.Read(8), raw::Preface());
}

TEST_F(OnePort, ServesWhatCameWithTheHandshakesFirstBytes) {
  Serve();
  RawPeer peer = Connect();
  // One segment: nothing that comes later makes the socket readable again.
  peer.Send(StepFactory::Greeting('A', "ann") + "C" + raw::Opening() +
            raw::Request({.id = 1, .message = raw::Text("")}));
  EXPECT_EQ(peer.Read(5), StepFactory::Greeting('B', "bob"));
  EXPECT_EQ(peer.Read(8), raw::Preface());
  const std::optional<RawFrame> reply = peer.ReadFrame(native::FrameType::kResponse);
  ASSERT_TRUE(reply.has_value());
  EXPECT_THAT(reply->body, HasSubstr("<ann>"));
}

TEST_F(OnePort, RefusesFirstBytesOfNobody) {
  Serve();
  RawPeer peer = Connect();
  // The second byte of a greeting is a length below 32, so these bytes are no greeting.
  peer.Send("A~ neither a greeting nor a preface");
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_TRUE(Closed(CloseReason::kUnknownProtocol, 1));
}

// Each of them has come as far as its name says, and four of five seconds are over.
TEST_F(OnePort, GivesEveryWayInTheSameTimeFromItsFirstMomentOn) {
  Serve();
  RawPeer silent = Connect();
  ASSERT_TRUE(PollUntil([&] { return (*server_)->connections().open == 1; }));
  RawPeer slow = Connect();
  slow.Send("A");
  ASSERT_TRUE(PollUntil([&] { return (*server_)->connections().open == 2; }));
  RawPeer begun = Connect(), shaken = Connect(), in_its_preface = Connect();
  for (RawPeer* peer : {&begun, &shaken, &in_its_preface}) {
    peer->Send(StepFactory::Greeting('A', "ann"));
    ASSERT_EQ(peer->Read(5), StepFactory::Greeting('B', "bob"));
  }
  clock_.Advance(absl::ToChronoNanoseconds(absl::Seconds(4)));
  // This client begins to shake hands now, and has only the one second that is left.
  slow.Send(StepFactory::Greeting('A', "ann").substr(1));
  ASSERT_EQ(slow.Read(5), StepFactory::Greeting('B', "bob"));
  shaken.Send("C");
  in_its_preface.Send("C" + raw::Preface().substr(0, 3));
  // Later ones have been served when the last second begins for these.
  EXPECT_EQ(Call(/*wrapped=*/true, /*lines=*/false), "<ann>");
  EXPECT_EQ((*server_)->closed(CloseReason::kHandshakeTimeout), 0);
  clock_.Advance(absl::ToChronoNanoseconds(absl::Seconds(1)));
  for (RawPeer* peer : {&silent, &slow, &begun, &shaken, &in_its_preface}) {
    EXPECT_TRUE(peer->WaitForClose());
  }
  EXPECT_TRUE(Closed(CloseReason::kHandshakeTimeout, 5));
}

TEST_F(OnePort, IsForNoTransportThatCannotBeTold) {
  class Untold final : public TransportFactory {
   public:
    std::unique_ptr<Transport> Wrap(std::unique_ptr<Transport> below, ReadAhead,
                                    const HandshakeRequest&) override {
      return below;
    }
  };
  Server server({.transport = std::make_shared<Untold>()});
  ASSERT_EQ(server.Register(service_), absl::OkStatus());
  ListenerOptions options;
  options.transport_optional = true;
  EXPECT_THAT(
      server.AddListener("127.0.0.1:0", std::move(options)),
      IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("(TransportFactory::matcher)")));
  EXPECT_EQ(server.AddListener("127.0.0.1:0", {}), absl::OkStatus()) << "each shakes hands";
}

}  // namespace
}  // namespace weft::test
