// The memory that a burst of large messages takes is given back. The clock is manual: idle time
// passes at once, and no look of a trimmer falls between two steps of a test.
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/idle_trimmer.h"
#include "weft/core/loop_group.h"
#include "weft/core/manual_clock.h"

namespace weft::test {

using namespace internal;

namespace {

constexpr size_t kMiB = 1 << 20;

BlockPool::Counts CountsOf(Runtime& runtime) {
  return runtime.loops().At(0).loop->blocks().counts();
}

class BurstMemory : public testing::Test {
 protected:
  BurstMemory() {
    channel_ = server_.Connect(ChannelOptions{.runtime = client_});
    stub_.emplace(*channel_);
  }
  void Echo(size_t size) {
    const std::string payload(size, 'x');
    auto reply = stub_->Echo(RequestOf(payload), {.timeout = absl::InfiniteDuration()});
    ASSERT_TRUE(reply.ok()) << reply.status();
    ASSERT_EQ(reply->payload().size() + reply->text().size(), size);
  }

  ManualClock clock_;
  const std::shared_ptr<Runtime> runtime_ = RuntimeOf({.clock = &clock_});
  const std::shared_ptr<Runtime> client_ = RuntimeOf({.clock = &clock_});
  HookedEcho service_;
  TestServer server_{service_, ServerOptions{.runtime = runtime_}};
  std::unique_ptr<Channel> channel_;
  std::optional<EchoService::Stub> stub_;
};

TEST_F(BurstMemory, IsGivenBackByLoopsThatAreIdleForFiveSeconds) {
  for (size_t size : {40'000, 100'000, 300'000, 1'500'000, 9'000'000}) Echo(size);
  // A loop lets go of a message's block when it has woken who waited for it.
  EXPECT_TRUE(PollUntil([&] { return CountsOf(*runtime_).free_bytes > 5 * kMiB; }));
  EXPECT_TRUE(PollUntil([&] { return CountsOf(*client_).free_bytes > 5 * kMiB; }));
  ASSERT_LE(2 * IdleTrimmer::kPeriod, std::chrono::seconds(5));
  for (int i = 0; i < 2; ++i) clock_.Advance(IdleTrimmer::kPeriod);
  EXPECT_EQ(CountsOf(*runtime_).free_bytes, 0u);
  EXPECT_EQ(CountsOf(*client_).free_bytes, 0u);
  // The blocks that are still out are those the loops read into.
  EXPECT_LE(CountsOf(*runtime_).out, 1u);
  EXPECT_LE(CountsOf(*client_).out, 1u);
}

TEST_F(BurstMemory, NeedsNoNewBlocksWhileItGoesOn) {
  const std::vector<size_t> sizes = {33'000, 65'536, 131'072, 1'048'576, 8'388'608};
  for (int i = 0; i < 3; ++i) {
    for (size_t size : sizes) Echo(size);
  }
  const uint64_t server = CountsOf(*runtime_).made, client = CountsOf(*client_).made;
  constexpr int kRounds = 4;
  for (int i = 0; i < kRounds; ++i) {
    for (size_t size : sizes) Echo(size);
  }
  // How much of a message the kernel takes at once differs: now and then a block more is needed.
  EXPECT_LE(CountsOf(*runtime_).made - server, kRounds);
  EXPECT_LE(CountsOf(*client_).made - client, kRounds);
}

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // they have a malloc of their own
size_t Resident() {
  size_t size = 0, pages = 0;
  std::ifstream("/proc/self/statm") >> size >> pages;
  return pages * 4096;
}

TEST_F(BurstMemory, OfCallsWithMetadataLeavesTheProcess) {
  constexpr int kCalls = 3000;
  // Just under the 16 KiB that metadata of one message may have. All calls hold 48 MB, far more
  // than the process's size varies by itself.
  constexpr size_t kMetadata = 16'000;
  // The client's own metadata are there before and after the burst.
  std::vector<std::unique_ptr<ClientContext>> contexts;
  while (contexts.size() < kCalls) {
    contexts.push_back(std::make_unique<ClientContext>());
    ASSERT_EQ(contexts.back()->metadata().Add("burst", std::string(kMetadata, 'm')),
              absl::OkStatus());
  }
  // Connects, so that the connection's own memory is in `before`.
  Echo(100);
  Notification go;
  service_.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    EXPECT_TRUE(go.Wait());
    return absl::OkStatus();
  };
  Watched<int> ended{0};
  const size_t before = Resident();
  for (const auto& context : contexts) {
    stub_->EchoAsync(EchoRequest(), {.timeout = absl::InfiniteDuration(), .context = context.get()},
                     [&](const absl::StatusOr<EchoReply>& reply) {
                       EXPECT_TRUE(reply.ok()) << reply.status();
                       ended.Update([](int& count) { ++count; });
                     });
  }
  // Nearly all: a connection passes its bytes on to the server's count in steps of 64 KiB.
  EXPECT_TRUE(PollUntil([&] { return server_->input_bytes() >= kCalls * kMetadata * 9 / 10; }));
  const size_t most = Resident();
  EXPECT_GT(most, before + kCalls * kMetadata * 8 / 10);
  go.Notify();
  EXPECT_TRUE(ended.WaitFor([](int count) { return count == kCalls; }));
  // Loops give back free pages after a period with few reads; workers follow when they had no call
  // for two looks.
  for (int i = 0; i < 4; ++i) clock_.Advance(IdleTrimmer::kPeriod);
  // Workers are woken to give back their part, which takes a moment.
  EXPECT_TRUE(PollUntil([&] { return Resident() < before + (most - before) / 4; }))
      << before << " bytes, " << most << ", then " << Resident();
}
#endif

}  // namespace
}  // namespace weft::test
