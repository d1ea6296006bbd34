// A process that runs out of descriptors or threads: what is made is refused and leaves nothing,
// what runs goes on.
//
// Results are judged when there are descriptors again: the undefined behaviour sanitizer needs one
// to look at an object's type.
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/integration/stack.h"
#include "tests/support/process_resources.h"
#include "weft/core/thread_start_fault.h"

namespace weft::test {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

// Every refusal for want of descriptors names the limit, which FewDescriptors sets to 512.
auto NamesTheLimit() { return HasSubstr("RLIMIT_NOFILE of this process: 512"); }

TEST(Exhaustion, AChannelIsMadeOrRefusedWhateverDescriptorsAreLeft) {
  const int descriptors = OpenDescriptors();
  int made = 0;
  // A loop takes 6 descriptors and wants 13 more free while it is made: from none to enough.
  for (int left = 0; left <= 24; ++left) {
    absl::StatusOr<std::unique_ptr<Channel>> channel = nullptr;
    {
      const FewDescriptors few(left);
      channel = Channel::Create("127.0.0.1:1");
    }
    if (channel.ok()) {
      ++made;
    } else {
      EXPECT_TRUE(absl::IsResourceExhausted(channel.status())) << channel.status();
      EXPECT_THAT(std::string(channel.status().message()), NamesTheLimit()) << left;
    }
  }
  EXPECT_GT(made, 0);
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(Exhaustion, AServerStartsOrIsRefusedWhateverDescriptorsAreLeft) {
  const int descriptors = OpenDescriptors();
  const int threads = RunningThreads();
  int started = 0;
  for (int left = 0; left <= 32; ++left) {
    HookedEcho service;
    Server server({.io_threads = 2, .worker_threads = 2});
    ASSERT_EQ(server.Register(service), absl::OkStatus());
    absl::Status status;
    {
      const FewDescriptors few(left);
      status = server.Start("127.0.0.1:0");
    }
    if (status.ok()) {
      ++started;
      continue;
    }
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_THAT(std::string(status.message()), NamesTheLimit()) << left;
    EXPECT_EQ(OpenDescriptors(), descriptors) << left;
    EXPECT_TRUE(HasThreads(threads)) << left;
  }
  EXPECT_GT(started, 0);
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(Exhaustion, AServerThatWasRefusedStartsWhenThereIsRoomAgain) {
  HookedEcho service;
  Server server({.worker_threads = 1, .pools = {{"other", {.threads = 2}}}});
  ASSERT_EQ(server.Register(service, {.pool = "other"}), absl::OkStatus());
  const int threads = RunningThreads();
  const int descriptors = OpenDescriptors();
  int refused = 0;
  // I/O thread, acceptor, a worker of the shared pool, two of the other one.
  for (int after = 0; after < 5; ++after, ++refused) {
    const internal::ThreadStartFault fault(after);
    const absl::Status status = server.Start("127.0.0.1:0");
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << after << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("RLIMIT_NPROC"));
    EXPECT_TRUE(HasThreads(threads)) << after;
    EXPECT_EQ(OpenDescriptors(), descriptors) << after;
  }
  EXPECT_EQ(refused, 5);
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  auto channel = ChannelTo(absl::StrCat("127.0.0.1:", server.port()));
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(stub.Echo(RequestOf("served")).ok());
}

// The connection is refused for want of a descriptor, at either end; the next one is not.
TEST(Exhaustion, CallsFailWhileNoDescriptorIsLeftAndGoOnAfterwards) {
  HookedEcho service;
  TestServer server(service);
  for (int left = 0; left <= 4; ++left) {
    ChannelOptions options;
    options.backoff = absl::Milliseconds(1);
    options.max_backoff = absl::Milliseconds(1);
    auto channel = server.Connect(std::move(options));
    EchoService::Stub stub(*channel);
    absl::Status status;
    {
      const FewDescriptors few(left);
      status = stub.Echo(RequestOf("x"), {.timeout = absl::Seconds(5)}).status();
    }
    if (!status.ok()) {
      EXPECT_THAT(status.code(),
                  AnyOf(absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable))
          << status;
    }
    if (left == 0) {
      EXPECT_THAT(std::string(status.message()), NamesTheLimit());
    }
    const auto reply = stub.Echo(RequestOf("x"), {.wait_for_ready = true});
    EXPECT_TRUE(reply.ok()) << reply.status();
  }
}

TEST(Exhaustion, WhatIsConnectedGoesOnWithoutADescriptor) {
  HookedEcho service;
  TestServer server(service);
  auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  const FewDescriptors none(0);
  for (int i = 0; i < 50; ++i) {
    // From 1 byte to 128 KiB: in one frame and in pieces.
    const auto reply = stub.Echo(PayloadOf(size_t{1} << (i % 18)), {.timeout = absl::Seconds(20)});
    EXPECT_TRUE(reply.ok()) << reply.status();
  }
}

}  // namespace
}  // namespace weft::test
