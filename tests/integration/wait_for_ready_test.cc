// Calls that wait for a server that is not there yet.
#include <gtest/gtest.h>

#include "tests/integration/stack.h"

namespace weft::test {
namespace {

// Attempts follow each other closely.
ChannelOptions Eager() {
  ChannelOptions options;
  options.backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(1);
  return options;
}

TEST(WaitForReady, WaitsUntilTheServerIsThere) {
  TempDir dir;
  const std::string address = absl::StrCat("unix:", dir.path(), "/s");
  std::unique_ptr<Channel> channel = ChannelTo(address, Eager());
  EchoService::Stub stub(*channel);
  EchoResult patient;
  stub.EchoAsync(RequestOf("patient"), {.wait_for_ready = true}, Into(patient));
  // A call that does not wait says that an attempt has failed.
  EchoResult hasty;
  stub.EchoAsync(RequestOf("hasty"), {}, Into(hasty));
  EXPECT_EQ(hasty.Wait().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(patient.count(), 0u);
  EchoResult late;  // made between attempts, or while one is under way
  stub.EchoAsync(RequestOf("late"), {.wait_for_ready = true}, Into(late));

  HookedEcho echo;
  Server server;
  ASSERT_EQ(server.Register(echo), absl::OkStatus());
  ASSERT_EQ(server.Start(address), absl::OkStatus());
  EXPECT_EQ(patient.Wait()->text(), "patient");
  EXPECT_EQ(late.Wait()->text(), "late");
  server.Stop();
}

TEST(WaitForReady, EndsAtItsDeadline) {
  TempDir dir;
  std::unique_ptr<Channel> channel = ChannelTo(absl::StrCat("unix:", dir.path(), "/s"), Eager());
  EchoService::Stub stub(*channel);
  ClientContext context;
  absl::StatusOr<EchoReply> reply =
      stub.Echo(RequestOf("never"),
                {.timeout = absl::Milliseconds(50), .context = &context, .wait_for_ready = true});
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(context.may_have_been_executed());
}

TEST(WaitForReady, EndsWithItsChannel) {
  TempDir dir;
  std::unique_ptr<Channel> channel = ChannelTo(absl::StrCat("unix:", dir.path(), "/s"), Eager());
  EchoService::Stub stub(*channel);
  EchoResult result;
  stub.EchoAsync(RequestOf("never"), {.timeout = absl::InfiniteDuration(), .wait_for_ready = true},
                 Into(result));
  channel.reset();
  EXPECT_EQ(result.Wait().status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace weft::test
