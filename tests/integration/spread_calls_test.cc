// Calls over three servers with a connection on a loop each: attempts land where none has been, end
// on other loops than their call, and go elsewhere when links die.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/spread_target.h"

namespace weft::test {
namespace {

constexpr size_t kServers = 3;
constexpr absl::Duration kLong = absl::Seconds(60);

// Calls that are spread over several servers, with a connection to each.
class SpreadCalls : public testing::Test {
 protected:
  SpreadCalls() {
    RuntimeOptions options;
    options.io_threads = static_cast<int>(kServers);
    options.log_level = LogLevel::kOff;
    runtime = *Runtime::Create(options);
    channel.backoff = absl::Milliseconds(1);
    channel.max_backoff = absl::Milliseconds(1);
    starts.retry.backoff = absl::Milliseconds(1);
    for (size_t i = 0; i < kServers; ++i) Serve(i);
  }

  void Serve(size_t i) {
    const std::string address = i < addresses.size() ? addresses[i] : "127.0.0.1:0";
    servers[i] = std::make_unique<Server>();
    ASSERT_EQ(servers[i]->Register(services[i]), absl::OkStatus());
    ASSERT_EQ(servers[i]->Start(address), absl::OkStatus());
    if (i == addresses.size()) addresses.push_back(servers[i]->addresses().at(0));
  }
  void Make(bool wants_reports = false) {
    target = std::make_unique<SpreadTarget>(runtime, addresses, channel, starts, wants_reports);
    stub = std::make_unique<EchoService::Stub>(*target);
    target->source().Connect(true);
    for (const auto& connection : target->source().connections()) {
      // All are up, so a call's place depends on the source's turn alone.
      ASSERT_TRUE(PollUntil([&] { return connection->connects() == 1; }));
    }
  }

  std::shared_ptr<Runtime> runtime;
  Watched<int> inside{0};  // handlers
  HookedEcho services[kServers];
  std::unique_ptr<Server> servers[kServers];
  std::vector<std::string> addresses;
  ChannelOptions channel;
  StartOptions starts;
  std::unique_ptr<SpreadTarget> target;
  std::unique_ptr<EchoService::Stub> stub;
};

TEST_F(SpreadCalls, RetriesLandOnDifferentServers) {
  starts.retry.attempts = 3;
  for (HookedEcho& service : services) {
    service.echo = [](ServerContext&, EchoRequest&, EchoReply&) {
      return absl::UnavailableError("not here");
    };
  }
  Make();
  for (int calls = 1; calls <= 4; ++calls) {
    const absl::Status s =
        stub->Echo(RequestOf("hi"), {.timeout = kLong, .idempotent = true}).status();
    EXPECT_THAT(s, IsStatus(absl::StatusCode::kUnavailable, testing::HasSubstr("attempt 3 of 3")));
    for (const HookedEcho& service : services) EXPECT_EQ(service.entered.load(), calls);
  }
  // Two retries for each of four calls.
  EXPECT_EQ(target->starter().attempt_counts().retries.load(), 8);
}

TEST_F(SpreadCalls, HedgesLandOnDifferentServers) {
  starts.hedging.attempts = 3;
  starts.hedging.delay = absl::Milliseconds(1);
  for (HookedEcho& service : services) {
    service.echo = [this](ServerContext&, EchoRequest& request, EchoReply& reply) {
      inside.Update([](int& n) { ++n; });
      // No server answers before all have been asked.
      if (!inside.WaitFor([](int n) { return n >= 3; })) return absl::InternalError("alone");
      FillEcho(request, &reply);
      return absl::OkStatus();
    };
  }
  Make();
  ClientContext context;
  const absl::StatusOr<EchoReply> reply =
      stub->Echo(RequestOf("hi"), {.timeout = kLong, .context = &context, .idempotent = true});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "hi");
  EXPECT_EQ(context.attempts(), 3);
  for (const HookedEcho& service : services) EXPECT_EQ(service.entered.load(), 1);
}

// A reply belongs to its link's loop; the call ends on its own.
TEST_F(SpreadCalls, RepliesFromOtherLoopsComeWhole) {
  starts.retry.attempts = 2;
  for (HookedEcho& service : services) {
    service.echo = [](ServerContext& call, EchoRequest& request, EchoReply& reply) {
      EXPECT_TRUE(call.trailers().Add("says", request.text()).ok());
      FillEcho(request, &reply);
      if (request.number() == 1) call.set_compression(Compression::kGzip);
      if (request.number() == 2) call.reply_attachment() = absl::Cord(Pattern(70'000, 7));
      return absl::OkStatus();
    };
  }
  Make();
  for (int i = 0; i < 30; ++i) {
    EchoRequest request = PayloadOf(i % 2 == 0 ? 100 : 100'000, static_cast<uint64_t>(i));
    request.set_text(absl::StrCat("call ", i));
    request.set_number(i % 3);
    ClientContext context;
    const absl::StatusOr<EchoReply> reply =
        stub->Echo(request, {.timeout = kLong, .context = &context});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->payload(), request.payload());
    EXPECT_EQ(context.trailers().Get("says"), request.text());
    if (i % 3 == 2) {
      EXPECT_EQ(std::string(context.reply_attachment()), Pattern(70'000, 7));
    }
  }
  // Dealt in turn: a third of 30 each.
  for (const HookedEcho& service : services) EXPECT_EQ(service.entered.load(), 10);
}

TEST_F(SpreadCalls, SaysOfEachAttemptHowItEnded) {
  starts.retry.attempts = 3;
  services[1].echo = [](ServerContext&, EchoRequest&, EchoReply&) {
    return absl::UnavailableError("not here");
  };
  Make(/*wants_reports=*/true);
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(stub->Echo(RequestOf("hi"), {.timeout = kLong, .idempotent = true}).ok());
  }
  const auto reports = target->source().reports.Get();
  int failed = 0;
  for (const SpreadSource::Reported& report : reports) {
    const bool bad = target->source().PlaceOf(report.link) == 1;
    EXPECT_EQ(report.code, bad ? absl::StatusCode::kUnavailable : absl::StatusCode::kOk);
    failed += bad ? 1 : 0;
  }
  EXPECT_GT(failed, 0);
  // A call that met the bad server has one report more.
  EXPECT_EQ(reports.size(), 6u + static_cast<size_t>(failed));
}

TEST_F(SpreadCalls, GoToWhoIsLeft) {
  Make();
  servers[0]->Stop();
  servers[2]->Stop();
  // A link counts as gone when its connection's next attempt has failed.
  for (const size_t i : {size_t{0}, size_t{2}}) {
    ASSERT_TRUE(
        PollUntil([&] { return target->source().connections()[i]->failed_connects() > 0; }));
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(stub->Echo(RequestOf("hi"), {.timeout = kLong}).ok()) << i;
  }
  EXPECT_EQ(services[1].entered.load(), 10);
}

TEST_F(SpreadCalls, FailWhenNobodyIsLeftAndWaitWhereTheyAreToldTo) {
  Make();
  for (auto& server : servers) server->Stop();
  for (const auto& connection : target->source().connections()) {
    ASSERT_TRUE(PollUntil([&] { return connection->failed_connects() > 0; }));
  }
  EXPECT_THAT(stub->Echo(RequestOf("hi"), {.timeout = kLong}).status(),
              HasCode(absl::StatusCode::kUnavailable));
  Watched<int> ended{0};
  for (int i = 0; i < 20; ++i) {
    stub->EchoAsync(RequestOf("hi"), {.timeout = kLong, .wait_for_ready = true},
                    [&](absl::StatusOr<EchoReply> reply) {
                      EXPECT_TRUE(reply.ok()) << reply.status();
                      ended.Update([](int& n) { ++n; });
                    });
  }
  Serve(1);
  EXPECT_TRUE(ended.WaitForValue(20));
  EXPECT_EQ(services[1].entered.load(), 20);
}

TEST_F(SpreadCalls, EndWithTheirTarget) {
  starts.hedging.attempts = 3;
  starts.hedging.delay = absl::Milliseconds(1);
  Make();
  constexpr int kCalls = 60;
  Watched<int> ended{0};
  for (int i = 0; i < kCalls; ++i) {
    stub->HangAsync(RequestOf("hi"), {.timeout = kLong, .idempotent = i % 2 == 0},
                    [&](absl::StatusOr<EchoReply> reply) {
                      EXPECT_THAT(reply.status(), HasCode(absl::StatusCode::kUnavailable));
                      ended.Update([](int& n) { ++n; });
                    });
  }
  target.reset();
  EXPECT_EQ(ended.Get(), kCalls);
}

}  // namespace
}  // namespace weft::test
