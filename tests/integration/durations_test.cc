// Durations of options at their ends: zero, negative and infinite mean what the headers say, or are
// refused by name.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"
#include "weft/rpc/mesh/members_file.h"
#include "weft/rpc/mesh/static_members.h"
#include "weft/rpc/node.h"

namespace weft::test {
namespace {

using absl::InfiniteDuration;
using absl::ZeroDuration;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Everything that has options with durations.
struct All {
  RuntimeOptions runtime;
  ServerOptions server;
  ChannelOptions channel;
};

enum class Of : uint8_t { kRuntime, kServer, kChannel };

struct Row {
  const char* name;
  Of of;
  std::function<absl::Duration&(All&)> in;
  // True: this value is taken. False: it is refused.
  bool zero = true;
  bool infinite = true;
};

MethodPolicy& Policy(ChannelOptions& channel) {
  return channel.method_policies["weft.test.EchoService/Echo"];
}

std::vector<Row> Rows() {
  std::vector<Row> rows = {
      {"RuntimeOptions::worker_idle", Of::kRuntime,
       [](All& all) -> absl::Duration& { return all.runtime.worker_idle; }},
      {"RuntimeOptions::spin", Of::kRuntime,
       [](All& all) -> absl::Duration& { return all.runtime.spin; }, true, false},
      {"ServerOptions::spin", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.spin; }, true, false},
      {"ServerOptions::max_connection_age", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.max_connection_age; }},
      {"ServerOptions::max_connection_age_grace", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.max_connection_age_grace; }},
      {"ServerOptions::idle_timeout", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.idle_timeout; }},
      {"ServerOptions::max_heartbeat_interval", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.max_heartbeat_interval; }},
      {"ServerOptions::max_write_wait", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.max_write_wait; }},
      {"ServerOptions::drain", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.drain; }},
      {"OverloadOptions::queue_target", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.overload.queue_target; }, true, false},
      {"OverloadOptions::queue_interval", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.overload.queue_interval; }},
      {"StartOptions::timeout", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.calls.timeout; }, false},
      {"RetryPolicy::backoff", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.calls.retry.backoff; }},
      {"SessionLimits::max_message_pause", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.limits.max_message_pause; }},
      {"SessionLimits::handshake_timeout", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.limits.handshake_timeout; }, false},
      {"SessionLimits::heartbeat_interval", Of::kServer,
       [](All& all) -> absl::Duration& { return all.server.limits.heartbeat_interval; }},
      {"ChannelOptions::timeout", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.timeout; }, false},
      {"ChannelOptions::connect_timeout", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.connect_timeout; }, false},
      {"ChannelOptions::backoff", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.backoff; }},
      {"ChannelOptions::max_backoff", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.max_backoff; }},
      {"ChannelOptions::idle_timeout", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.idle_timeout; }},
      {"ChannelOptions::max_service_write_wait", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.max_service_write_wait; }},
      {"RetryPolicy::backoff", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.retry.backoff; }},
      {"RetryPolicy::max_backoff", Of::kChannel,
       [](All& all) -> absl::Duration& { return Policy(all.channel).retry.emplace().max_backoff; }},
      {"HedgingPolicy::delay", Of::kChannel,
       [](All& all) -> absl::Duration& {
         return Policy(all.channel).hedging.emplace(HedgingPolicy{.attempts = 2}).delay;
       }},
      {"SessionLimits::handshake_timeout", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.limits.handshake_timeout; }, false},
      {"SessionLimits::heartbeat_interval", Of::kChannel,
       [](All& all) -> absl::Duration& { return all.channel.limits.heartbeat_interval; }},
  };
  return rows;
}

// Makes everything with these options, and some calls. The first error, or OK.
absl::Status Try(All all, Of of) {
  if (of == Of::kRuntime) {
    absl::StatusOr<std::shared_ptr<Runtime>> made = Runtime::Create(all.runtime);
    if (!made.ok()) return made.status();
    all.server.runtime = *made;
    all.channel.runtime = *std::move(made);
  }
  HookedEcho service;
  Server server(all.server);
  if (absl::Status s = server.Register(service); !s.ok()) return s;
  if (absl::Status s = server.Start("127.0.0.1:0"); !s.ok()) return s;
  const absl::StatusOr<std::unique_ptr<Channel>> channel =
      Channel::Create(server.addresses().at(0), all.channel);
  if (!channel.ok()) return channel.status();
  EchoService::Stub stub(**channel);
  for (int i = 0; i < 3; ++i) {
    if (absl::Status s = stub.Echo(RequestOf("x"), {.idempotent = true}).status(); !s.ok()) {
      return s;
    }
  }
  // A zero or infinite time must not end the connection between two of the calls.
  EXPECT_EQ(server.connections().accepted, 1);  // none was ended early
  server.Stop();
  return absl::OkStatus();
}

TEST(Durations, ZeroNegativeAndInfiniteOnesAreTakenOrRefusedByName) {
  for (const Row& row : Rows()) {
    SCOPED_TRACE(row.name);
    for (const absl::Duration value :
         {ZeroDuration(), InfiniteDuration(), absl::Nanoseconds(-1), -InfiniteDuration()}) {
      SCOPED_TRACE(absl::FormatDuration(value));
      All all;
      row.in(all) = value;
      const bool taken = value == ZeroDuration()       ? row.zero
                         : value == InfiniteDuration() ? row.infinite
                                                       : false;
      const absl::Status s = Try(all, row.of);
      if (taken) {
        EXPECT_EQ(s, absl::OkStatus());
      } else {
        EXPECT_THAT(s, IsStatus(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr(std::string(row.name) + ": expected "),
                                      HasSubstr(", got " + absl::FormatDuration(value)))));
      }
    }
  }
}

TEST(Durations, ANodesAreCheckedWhenItIsMade) {
  const auto network = std::shared_ptr<InProcessNetwork>(InProcessNetwork::Create());
  const auto create = [&](const std::function<void(NodeOptions&)>& change) {
    NodeOptions options;
    options.name = "a";
    options.listen = {"inproc:a"};
    options.members = *StaticMembers::Create({{"a", "inproc:a"}});
    options.server.network = network;
    change(options);
    return Node::Create(std::move(options)).status();
  };
  EXPECT_EQ(create([](NodeOptions&) {}), absl::OkStatus());
  for (const absl::Duration value : {ZeroDuration(), absl::Nanoseconds(-1), InfiniteDuration()}) {
    EXPECT_THAT(create([&](NodeOptions& o) { o.heartbeat = value; }),
                IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("heartbeat: expected")));
  }
  EXPECT_THAT(create([](NodeOptions& o) { o.calls.timeout = ZeroDuration(); }),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("ChannelOptions::timeout")));
  EXPECT_THAT(create([](NodeOptions& o) { o.calls.backoff = absl::Seconds(-1); }),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("ChannelOptions::backoff")));
}

TEST(Durations, AMembersFilesAreCheckedWhenItIsOpened) {
  const auto create = [&](MembersFileOptions options) {
    return MembersFile::Create("members", std::move(options)).status();
  };
  EXPECT_THAT(create({.look_every = absl::Seconds(-1)}),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("look_every: expected")));
  EXPECT_THAT(create({.quiet = InfiniteDuration()}),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("quiet: expected")));
}

// A call's own timeout: zero is none of its own, a negative one has passed.
TEST(Durations, ACallsTimeoutMeansWhatItsHeaderSays) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (const absl::Duration value : {ZeroDuration(), InfiniteDuration()}) {
    EXPECT_EQ(stub.Echo(RequestOf("x"), {.timeout = value}).status(), absl::OkStatus());
  }
  for (const absl::Duration value : {absl::Nanoseconds(-1), -InfiniteDuration()}) {
    EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = value}).status(),
                IsStatus(absl::StatusCode::kDeadlineExceeded, HasSubstr("before it was sent")));
  }
  EXPECT_EQ(service.entered.load(), 2);
}

}  // namespace
}  // namespace weft::test
