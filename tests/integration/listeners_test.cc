// Several listeners of one server, each with what it takes.
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/stack.h"
#include "tests/support/line_protocol.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/in_process_network.h"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kAnyPort[] = "127.0.0.1:0";

class Count final : public CounterService::Service {
 public:
  absl::Status Echo(ServerContext&, EchoRequest&, EchoReply& reply) override {
    reply.set_text("counted");
    return absl::OkStatus();
  }
};

// A server whose listeners the tests add; what connects to each.
class Listeners : public testing::Test {
 protected:
  explicit Listeners(ServerOptions options = {}) : server_(std::move(options)) {
    EXPECT_EQ(server_.Register(service_), absl::OkStatus());
    EXPECT_EQ(server_.Register(count_), absl::OkStatus());
  }

  std::string Add(ListenerOptions options = {}, const std::string& address = kAnyPort) {
    EXPECT_EQ(server_.AddListener(address, std::move(options)), absl::OkStatus());
    return server_.addresses().back();
  }
  absl::Status EchoAt(const std::string& target, ChannelOptions options = {}) {
    const auto channel = ChannelTo(target, std::move(options));
    return EchoService::Stub(*channel).Echo(RequestOf("x")).status();
  }
  static ChannelOptions OverLines() {
    ChannelOptions options;
    options.protocol = kLineProtocol;
    return options;
  }

  HookedEcho service_;
  Count count_;
  Server server_;
};

TEST_F(Listeners, TakeEachItsProtocols) {
  ListenerOptions lines;
  lines.protocols = {kLineProtocol};
  const std::string native = Add(), line = Add(std::move(lines));
  EXPECT_EQ(EchoAt(native), absl::OkStatus());
  EXPECT_EQ(EchoAt(line, OverLines()), absl::OkStatus());
  // Each refuses the protocol of the other.
  EXPECT_FALSE(EchoAt(line).ok());
  EXPECT_FALSE(EchoAt(native, OverLines()).ok());
  EXPECT_EQ(server_.addresses().size(), 2u);
}

TEST_F(Listeners, OfferEachItsServices) {
  ListenerOptions only;
  only.services = {"weft.test.CounterService"};
  const std::string all = Add(), one = Add(std::move(only));
  EXPECT_EQ(EchoAt(all), absl::OkStatus());
  // The service is registered and unknown here: the text says of whom, and what there is.
  EXPECT_THAT(EchoAt(one),
              IsStatus(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("weft.test.EchoService/Echo"), HasSubstr("this listener"),
                             HasSubstr("it offers weft.test.CounterService"))));
  for (const std::string& target : {all, one}) {
    const auto channel = ChannelTo(target);
    EXPECT_EQ(CounterService::Stub(*channel).Echo(RequestOf("x"))->text(), "counted");
  }
}

TEST_F(Listeners, OfferNothingThatIsNotRegistered) {
  ListenerOptions wrong;
  // One of the two is registered, which is not enough.
  wrong.services = {"weft.test.CounterService", "weft.test.Nobody"};
  EXPECT_THAT(server_.AddListener(kAnyPort, std::move(wrong)),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("weft.test.Nobody")));
  // The address is not listened on when its options are refused.
  EXPECT_TRUE(server_.addresses().empty());
}

TEST_F(Listeners, TakeNoProtocolThatOnlyDials) {
  ListenerOptions wrong;
  wrong.protocols = {kLineProtocol};
  wrong.protocols[0].accept = nullptr;
  EXPECT_THAT(server_.AddListener(kAnyPort, std::move(wrong)),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("line")));
}

class ListenersOfACarefulServer : public Listeners {
 protected:
  ListenersOfACarefulServer() : Listeners(Careful()) {}
  static ServerOptions Careful() {
    ServerOptions options;
    options.authenticator = Knows("sesame", "of the server");
    return options;
  }
  static Authenticator Knows(std::string word, std::string name) {
    return [word, name](std::string_view token, const std::string&) -> absl::StatusOr<std::string> {
      if (token == word) return name;
      return absl::UnauthenticatedError("wrong token");
    };
  }
  static ChannelOptions With(std::string token) {
    ChannelOptions options;
    options.auth_token = std::move(token);
    return options;
  }
};

TEST_F(ListenersOfACarefulServer, AskEachItsAuthenticator) {
  Watched<std::string> who;
  service_.echo = [&](ServerContext& context, EchoRequest&, EchoReply&) {
    who.Set(context.identity());
    return absl::OkStatus();
  };
  ListenerOptions own, open;
  own.authenticator = Knows("open up", "of the listener");
  open.authenticator = nullptr;
  const std::string servers = Add(), listeners = Add(std::move(own)),
                    everybodys = Add(std::move(open));
  EXPECT_EQ(EchoAt(servers, With("sesame")), absl::OkStatus());
  EXPECT_EQ(who.Get(), "of the server");
  // The word of one is wrong at the other.
  EXPECT_THAT(EchoAt(servers, With("open up")), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(EchoAt(listeners, With("open up")), absl::OkStatus());
  EXPECT_EQ(who.Get(), "of the listener");
  EXPECT_THAT(EchoAt(listeners, With("sesame")), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(EchoAt(everybodys), absl::OkStatus());
  EXPECT_EQ(who.Get(), "");
}

TEST_F(Listeners, AreAddedWhileTheServerServes) {
  const std::string first = Add();
  const auto channel = ChannelTo(first);
  // Connected before the second listener is there, and still so afterwards.
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  const std::string second = Add();
  EXPECT_EQ(EchoAt(second), absl::OkStatus());
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
}

TEST_F(Listeners, EndAllWithTheirServer) {
  const std::string first = Add(), second = Add();
  EXPECT_EQ(EchoAt(first), absl::OkStatus());
  EXPECT_EQ(EchoAt(second), absl::OkStatus());
  server_.Stop();
  EXPECT_THAT(EchoAt(first), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(EchoAt(second), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(server_.AddListener(kAnyPort, {}), HasCode(absl::StatusCode::kFailedPrecondition));
}

TEST(ListenersInMemory, HaveOptionsToo) {
  HookedEcho service;
  Count count;
  const auto network = InProcessNetwork::Create({});
  ServerOptions options;
  options.network = network;
  Server server(std::move(options));
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Register(count), absl::OkStatus());
  ListenerOptions only;
  only.services = {"weft.test.CounterService"};
  ASSERT_EQ(server.AddListener("inproc:counts", std::move(only)), absl::OkStatus());
  ChannelOptions to;
  to.network = network;
  const auto channel = ChannelTo("inproc:counts", std::move(to));
  EXPECT_TRUE(CounterService::Stub(*channel).Echo(RequestOf("x")).ok());
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x")).status(),
              HasCode(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace weft::test
