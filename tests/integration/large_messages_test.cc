// The largest messages, several at once on one connection, with default options.
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/loop_group.h"

namespace weft::test {
namespace {

constexpr absl::Duration kForever = absl::InfiniteDuration();
constexpr size_t kSize = size_t{60} << 20;  // of max_message_bytes, 64 MiB
// 180 MiB together, below max_output_bytes: by default that is four times 64 MiB.
constexpr size_t kCalls = 3;

class LargeMessages : public testing::Test {
 protected:
  LargeMessages() {
    channel_ = server_.Connect({.runtime = runtime_});
    stub_.emplace(*channel_);
    EXPECT_TRUE(stub_->Echo(RequestOf("connects"), {.timeout = kForever}).ok());
  }
  // The client's loop neither reads nor writes until `go_on_`.
  void HoldClient() {
    runtime_->loops().At(0).loop->Post([this](internal::TaskFate) { EXPECT_TRUE(go_on_.Wait()); });
  }
  int64_t CallsOf(std::string_view method) {
    for (const MethodStatsSnapshot& stats : server_->Stats()) {
      if (stats.method == method) return stats.calls;
    }
    return 0;
  }

  Notification go_on_;
  HookedEcho service_;
  TestServer server_{service_, ServerOptions{.worker_threads = 1}};
  const std::shared_ptr<Runtime> runtime_ = RuntimeOf();
  std::unique_ptr<Channel> channel_;
  std::optional<EchoService::Stub> stub_;
};

TEST_F(LargeMessages, SeveralRequestsMayWaitOnOneConnection) {
  // The callers write what the kernel takes; all the rest has to wait in the client's output.
  HoldClient();
  ConsumeRequest request;
  request.set_payload(std::string(kSize, 'x'));
  Awaited<absl::StatusOr<ConsumeReply>> replies;
  for (size_t i = 0; i < kCalls; ++i) {
    stub_->ConsumeAsync(request, {.timeout = kForever},
                        [&](absl::StatusOr<ConsumeReply> r) { replies.Add(std::move(r)); });
  }
  EXPECT_EQ(replies.count(), 0u);
  go_on_.Notify();
  for (const auto& reply : replies.WaitForAll(kCalls)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->bytes(), static_cast<int64_t>(kSize));
  }
}

TEST_F(LargeMessages, SeveralRepliesMayWaitOnOneConnection) {
  // All requests are taken before the first is answered.
  EchoResult hung;
  stub_->HangAsync(RequestOf("holds the worker"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(service_.hanging.WaitForValue(1));
  ProduceRequest request;
  request.set_bytes(kSize);
  Awaited<absl::StatusOr<ProduceReply>> replies;
  for (size_t i = 0; i < kCalls; ++i) {
    stub_->ProduceAsync(request, {.timeout = kForever},
                        [&](absl::StatusOr<ProduceReply> r) { replies.Add(std::move(r)); });
  }
  // Behind them on the same connection: when it is answered, all requests have been read.
  ASSERT_TRUE(stub_->EchoInline(RequestOf("behind them"), {.timeout = kForever}).ok());
  HoldClient();
  service_.release.Notify();
  EXPECT_TRUE(PollUntil([&] { return CallsOf("weft.test.EchoService/Produce") == kCalls; }));
  go_on_.Notify();
  for (const auto& reply : replies.WaitForAll(kCalls)) {
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->payload().size(), kSize);
  }
  EXPECT_TRUE(hung.Wait().ok());
}

}  // namespace
}  // namespace weft::test
