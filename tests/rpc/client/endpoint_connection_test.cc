// The states of one connection, as its header draws them; and which link is given when.
#include "weft/rpc/client/endpoint_connection.h"

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/drawn_states.h"
#include "tests/support/watched.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/server.h"

namespace weft::internal {
namespace {

using State = EndpointConnection::State;
using ::testing::HasSubstr;

TEST(EndpointConnectionStates, AreAsDrawn) {
  const std::vector<std::string> names = {"kIdle", "kConnecting", "kUp", "kPausing", "kClosed"};
  EXPECT_EQ(test::DrawnIn("rpc/client/endpoint_connection.h", names),
            test::Allowed<State>(names, &EndpointConnection::MayFollow));
}

class Observer final : public LinkObserver {
 public:
  void OnLink() override {
    links.Update([](int& n) { ++n; });
  }
  void OnNoLink(const absl::Status& why, NoLink) override {
    last_why.Set(why);
    failures.Update([](int& n) { ++n; });
  }
  Watched<int> links{0}, failures{0};
  Watched<absl::Status> last_why;
};

// The connection to one endpoint, without a channel around it, against a server over memory.
class EndpointConnectionTest : public ::testing::Test {
 protected:
  EndpointConnectionTest() {
    ChannelOptions channel;
    channel.network = network_;
    channel.protocol = DefaultProtocols().front();
    channel.backoff = absl::Hours(1);  // a pause does not end by itself
    channel.max_backoff = absl::Hours(1);
    connection_ = std::make_shared<EndpointConnection>(
        runtime_->loops().At(0), runtime_->log(),
        EndpointOptions::Of(channel, *HostPort::Parse("inproc:echo"), "inproc:echo"));
    connection_->Watch(&observer_);
  }
  ~EndpointConnectionTest() override { Close(); }

  void Serve() {
    server_ = std::make_unique<Server>(ServerOptions{.runtime = runtime_, .network = network_});
    ASSERT_TRUE(server_->Register(echo_).ok());
    ASSERT_TRUE(server_->Start("inproc:echo").ok());
  }
  void Close() {
    std::promise<void> closed;
    // The sessions end on the loop. This thread waits for them, for the observer goes next.
    connection_->Close([&closed] { closed.set_value(); });
    closed.get_future().get();
  }
  PickedLink Pick(const PickRequest& request = {}) {
    why_ = absl::OkStatus();
    return connection_->Pick(request, &why_);
  }

  test::HeldEcho echo_;
  std::shared_ptr<Runtime> runtime_ = test::QuietRuntime();
  std::shared_ptr<InProcessNetwork> network_ = InProcessNetwork::Create({});
  Observer observer_;
  std::shared_ptr<EndpointConnection> connection_;
  std::unique_ptr<Server> server_;
  absl::Status why_;
};

TEST_F(EndpointConnectionTest, GivesNoLinkAndNoErrorWhileCallsMayWait) {
  EXPECT_EQ(Pick().link, nullptr);
  EXPECT_TRUE(why_.ok());
  EXPECT_EQ(network_->dialled(), 0u) << "to look for a link is not to ask for one";
}

TEST_F(EndpointConnectionTest, GivesTheLinkThatIsUp) {
  Serve();
  connection_->Connect(false);
  ASSERT_TRUE(observer_.links.WaitForValue(1));
  const PickedLink picked = Pick();
  ASSERT_NE(picked.link, nullptr);
  EXPECT_EQ(picked.held.get(), picked.link) << "on another thread it is held";
  // The slot gives the same link to threads that do not take the connection's mutex.
  LinkSlot::Record* record = nullptr;
  const NumberedLink* const same = connection_->slot()->Read(&record);
  ASSERT_NE(same, nullptr);
  EXPECT_EQ(same->link.get(), picked.link);
  EXPECT_EQ(same->number, picked.number);
  // A thread that still uses a link could not read it again.
  LinkSlot::LetGo(*record);
  EXPECT_EQ(&picked.link->loop(), runtime_->loops().At(0).loop.get());
  const ConnectedPeer peer = picked.link->connected_peer();
  EXPECT_EQ(peer.address, "inproc:echo");
  EXPECT_EQ(peer.protocol, "native");
  EXPECT_GT(peer.wire_version, 0u);
  EXPECT_EQ(picked.link->Volume().calls, 0u);
  // A link that was tried is given again, one that takes no more calls is not.
  const uint64_t number[] = {picked.number};
  EXPECT_EQ(Pick({.tried = number}).link, picked.link);
  EXPECT_EQ(Pick({.gone = number}).link, nullptr);
  EXPECT_TRUE(why_.ok()) << "another one may come";
}

TEST_F(EndpointConnectionTest, GivesTheSameOnItsLoopWithoutHoldingIt) {
  Serve();
  connection_->Connect(true);
  ASSERT_TRUE(observer_.links.WaitForValue(1));
  const PickedLink outside = Pick();
  std::promise<void> done;
  runtime_->loops().At(0).loop->Post([&](TaskFate) {
    absl::Status why;
    // Nothing can replace the link while this task runs on the loop.
    const PickedLink inside = connection_->Pick({}, &why);
    EXPECT_EQ(inside.link, outside.link);
    EXPECT_EQ(inside.number, outside.number);
    EXPECT_EQ(inside.held, nullptr);
    done.set_value();
  });
  done.get_future().get();
}

TEST_F(EndpointConnectionTest, SaysWhyWhileItPauses) {
  connection_->Connect(false);
  ASSERT_TRUE(observer_.failures.WaitForValue(1));
  EXPECT_EQ(Pick().link, nullptr);
  EXPECT_TRUE(absl::IsUnavailable(why_)) << why_;
  EXPECT_THAT(std::string(why_.message()), HasSubstr("next attempt in"));
  // The same failure is no reason for a call that may wait.
  EXPECT_EQ(Pick({.wait_for_ready = true}).link, nullptr);
  EXPECT_TRUE(why_.ok());
}

TEST_F(EndpointConnectionTest, EndsAPauseForWhoCannotWait) {
  connection_->Connect(false);
  ASSERT_TRUE(observer_.failures.WaitForValue(1));
  Serve();
  connection_->Connect(true);
  EXPECT_TRUE(observer_.links.WaitForValue(1));
}

TEST_F(EndpointConnectionTest, TellsNobodyOfAnythingOnceItIsClosed) {
  Serve();
  connection_->Connect(true);
  ASSERT_TRUE(observer_.links.WaitForValue(1));
  // This share outlives the session on purpose.
  std::optional<PickedLink> picked = Pick();
  Close();
  EXPECT_EQ(picked->link->Volume().calls, 0u) << "its memory stays while it is in use";
  picked.reset();
  EXPECT_EQ(Pick({.wait_for_ready = true}).link, nullptr);
  EXPECT_TRUE(absl::IsUnavailable(why_)) << why_;
  connection_->Connect(true);
  Close();  // a second time, and behind what the first one posted
  EXPECT_EQ(observer_.links.Get(), 1);
  EXPECT_EQ(observer_.failures.Get(), 0);
  EXPECT_TRUE(connection_->connections().empty());
}

}  // namespace
}  // namespace weft::internal
