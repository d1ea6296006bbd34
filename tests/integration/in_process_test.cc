// The whole stack over memory instead of sockets, with faults.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAddress[] = "inproc:store";

// A server and a channel on one network; each with threads of its own.
class InProcessTest : public testing::Test {
 protected:
  void Begin(InProcessNetworkOptions options = {}, ServerOptions server = {}) {
    network_ = InProcessNetwork::Create(std::move(options));
    server.network = network_;
    server_ = std::make_unique<Server>(std::move(server));
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start(kAddress), absl::OkStatus());
  }
  std::unique_ptr<Channel> Connect(ChannelOptions options = {}) {
    options.network = network_;
    return ChannelTo(kAddress, std::move(options));
  }

  HookedEcho service_;
  std::shared_ptr<InProcessNetwork> network_;
  std::unique_ptr<Server> server_;
};

TEST_F(InProcessTest, CallsTravelThroughMemoryInAllStyles) {
  Begin();
  const std::unique_ptr<Channel> channel = Connect();
  EchoService::Stub stub(*channel);
  const absl::StatusOr<EchoReply> blocking = stub.Echo(RequestOf("one"));
  ASSERT_EQ(blocking.status(), absl::OkStatus());
  EXPECT_EQ(blocking->text(), "one");
  EchoResult result;
  stub.EchoAsync(RequestOf("two"), {}, Into(result));
  const absl::StatusOr<EchoReply> later = result.Wait();
  ASSERT_EQ(later.status(), absl::OkStatus());
  EXPECT_EQ(later->text(), "two");
  EXPECT_EQ(network_->connections(), std::vector<uint64_t>{0});
  EXPECT_EQ(server_->addresses(), std::vector<std::string>{kAddress});
  EXPECT_EQ(server_->port(), 0);
}

TEST_F(InProcessTest, LargeMessagesPassThroughSmallBuffersOneByteAWrite) {
  InProcessNetworkOptions options;
  options.buffer_bytes = 1 << 10;
  options.faults = [](uint64_t) {
    ConnectionFaults faults;
    faults.to_listener.write_most = 1;
    faults.to_dialer.write_most = 1;
    faults.to_dialer.read_most = 7;
    return faults;
  };
  Begin(options);
  const std::unique_ptr<Channel> channel = Connect();
  const EchoRequest request = PayloadOf(200'000);
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(*channel).Echo(request);
  ASSERT_EQ(reply.status(), absl::OkStatus());
  EXPECT_EQ(reply->payload(), request.payload());
}

}  // namespace
}  // namespace weft::test
