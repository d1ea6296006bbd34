// A connection that keeps hundreds of calls waiting makes no other connection wait for them: on the
// pool that all share, on a pool of its own, and with an order. One worker stands still until all
// calls are queued.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/ledger.weft.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();
constexpr size_t kMany = 400;
// So many calls of a connection that keeps many waiting may run before another connection's: those
// that stand in the ring. One more may have come alone and gone ahead.
constexpr size_t kQuantum = 32;

// Calls of all connections that the server has read and not answered.
size_t UnderWay(Server& server) {
  size_t calls = 0;
  for (const ConnectionInfo& each : server.connection_list()) calls += each.calls;
  return calls;
}

// An echo service whose one worker stands still until it is released, and that notes whose calls it
// runs then.
class FairShareTest : public testing::Test {
 protected:
  FairShareTest() {
    service_.echo = [this](ServerContext&, EchoRequest& request, EchoReply& reply) {
      ran_.Update([&](std::vector<std::string>& all) { all.push_back(request.text()); });
      FillEcho(request, &reply);
      return absl::OkStatus();
    };
  }
  void Start(ServerOptions options = {}, const ServiceOptions& pool = {}) {
    options.worker_threads = 1;
    server_ = std::make_unique<Server>(std::move(options));
    ASSERT_EQ(server_->Register(service_, pool), absl::OkStatus());
    ASSERT_EQ(server_->Start("127.0.0.1:0"), absl::OkStatus());
    hog_ = ChannelTo(server_->addresses().at(0), {.limits = {.heartbeat_interval = {}}});
    other_ = ChannelTo(server_->addresses().at(0), {.limits = {.heartbeat_interval = {}}});
    EchoService::Stub(*hog_).HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung_));
    ASSERT_TRUE(service_.hanging.WaitForValue(1));
  }
  void TearDown() override {
    service_.release.Notify();
    hung_.WaitForAll(1);
    results_.WaitForAll(sent_ - elsewhere_);
    hog_.reset();
    other_.reset();
  }
  // Returns when the server has read them.
  void Send(Channel& channel, const std::string& whose, size_t count) {
    const size_t before = UnderWay(*server_);
    for (size_t i = 0; i < count; ++i) {
      EchoService::Stub(channel).EchoAsync(RequestOf(whose), {.timeout = kForever}, Into(results_));
    }
    sent_ += count;
    ASSERT_TRUE(PollUntil([&] { return UnderWay(*server_) >= before + count; }));
  }
  // Lets all run, and says how many ran before the first of the other connection's.
  size_t BeforeTheOther() {
    service_.release.Notify();
    EXPECT_TRUE(ran_.WaitFor([&](const auto& all) { return all.size() == sent_; }));
    const std::vector<std::string> all = ran_.Get();
    return static_cast<size_t>(std::find(all.begin(), all.end(), "other") - all.begin());
  }

  HookedEcho service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> hog_, other_;
  EchoResult hung_, results_;
  Watched<std::vector<std::string>> ran_;
  size_t sent_ = 0;       // calls that will run
  size_t elsewhere_ = 0;  // of them, whose results the test has
};

TEST_F(FairShareTest, ACallGoesAheadOfAnotherConnectionsHundreds) {
  Start();
  Send(*hog_, "hog", kMany);
  Send(*other_, "other", 1);
  // The hog's first call may have come alone and gone ahead, too.
  EXPECT_LE(BeforeTheOther(), 1u);
}

TEST_F(FairShareTest, CallsOfAConnectionWaitForAQuantumOfAnothersAtTheMost) {
  Start();
  Send(*hog_, "hog", kMany);
  Send(*other_, "other", 3 * kQuantum);
  EXPECT_LE(BeforeTheOther(), kQuantum + 1);
  // The two connections take turns.
  const std::vector<std::string> all = ran_.Get();
  // About half of the first six quanta is each connection's; a third is asked for.
  EXPECT_GE(std::count(all.begin(), all.begin() + 6 * kQuantum, "other"), 2 * kQuantum);
}

TEST_F(FairShareTest, APoolOfItsOwnIsFairToo) {
  Start({.pools = {{"echo", {.threads = 1}}}}, {.pool = "echo"});
  Send(*hog_, "hog", kMany);
  Send(*other_, "other", 1);
  EXPECT_LE(BeforeTheOther(), 1u);
}

TEST_F(FairShareTest, AFullQueueRefusesTheConnectionThatFilledIt) {
  Start({.worker_queue = 50});
  EchoResult refused;
  EchoService::Stub hog(*hog_);
  for (size_t i = 0; i < kMany; ++i) {
    hog.EchoAsync(RequestOf("hog"), {.timeout = kForever}, Into(refused));
  }
  for (const auto& reply : refused.WaitForAll(kMany - 50)) {
    EXPECT_THAT(reply.status(), IsStatus(absl::StatusCode::kResourceExhausted,
                                         AllOf(HasSubstr("50 calls wait for 1 workers"),
                                               HasSubstr("worker_queue"))));
  }
  sent_ += 50;
  elsewhere_ = 50;
  Send(*other_, "other", 20);  // of its half
  EXPECT_LE(BeforeTheOther(), kQuantum + 1);
  refused.WaitForAll(kMany);
}

TEST_F(FairShareTest, CallsOfOneConnectionRunInTheirOrder) {
  Start();
  for (size_t i = 0; i < 60; ++i) {
    EchoService::Stub(*hog_).EchoAsync(RequestOf(absl::StrCat(i)), {.timeout = kForever},
                                       Into(results_));
    ++sent_;
    // Now and then a call comes alone and may go ahead; others come in groups. The order has to
    // hold across both.
    if (i % 20 < 3) {
      ASSERT_TRUE(PollUntil([&] { return UnderWay(*server_) > i + 1; }));
    }
  }
  BeforeTheOther();
  const std::vector<std::string> all = ran_.Get();
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], absl::StrCat(i));
}

TEST_F(FairShareTest, ACancelledCallLeavesTheQueueAtOnce) {
  Start();
  Send(*hog_, "hog", kQuantum + 1);  // the ring is full of them
  ClientContext context;
  EchoResult cancelled;
  EchoService::Stub(*hog_).EchoAsync(RequestOf("hog"), {.timeout = kForever, .context = &context},
                                     Into(cancelled));
  // The call that hangs, those that fill the ring, and this one behind them.
  ASSERT_TRUE(PollUntil([&] { return UnderWay(*server_) == kQuantum + 3; }));
  context.Cancel();
  EXPECT_FALSE(cancelled.Wait().ok());
  // The call has left the queue although the worker still stands in the first call.
  EXPECT_TRUE(PollUntil([&] {
    int64_t count = 0;
    for (const MethodStatsSnapshot& each : server_->Stats()) {
      count += each.by_code[static_cast<size_t>(absl::StatusCode::kCancelled)];
    }
    return count == 1;
  }));
}

TEST_F(FairShareTest, TheCallsOfAConnectionThatHasGoneLeaveTheQueueAtOnce) {
  // Room for 90 or for 60, not for both.
  Start({.worker_queue = 100});
  auto gone = ChannelTo(server_->addresses().at(0));
  EchoResult ended;
  for (size_t i = 0; i < 90; ++i) {
    EchoService::Stub(*gone).EchoAsync(RequestOf("gone"), {.timeout = kForever}, Into(ended));
  }
  ASSERT_TRUE(PollUntil([&] { return UnderWay(*server_) == 91; }));
  gone.reset();
  ended.WaitForAll(90);
  ASSERT_TRUE(PollUntil([&] { return server_->connections().open == 1; }));
  // The worker has taken none of them, and there is room.
  Send(*hog_, "hog", 60);
  Send(*other_, "other", 1);
  EXPECT_LE(BeforeTheOther(), 1u);
}

// ---- Calls that have an order

class GatedLedger : public Ledger::Service {
 public:
  Watched<std::vector<std::string>> ran;
  Watched<int> inside{0};
  Notification release;

  absl::Status Note(ServerContext&, Entry& entry, EntryReply&) override {
    if (entry.account() == "gate") {
      inside.Update([](int& n) { ++n; });
      EXPECT_TRUE(release.Wait());
    } else {
      ran.Update([&](auto& all) { all.push_back(entry.account()); });
    }
    return absl::OkStatus();
  }
};

TEST(FairOrder, KeysOfOneConnectionMakeNoOtherWait) {
  GatedLedger service;
  Server server({.worker_threads = 1, .worker_queue = 100});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(
      server.Configure(Ledger::kNote,
                       {.request_key = KeyOf<Entry>([](const ServerContext&, const Entry& entry) {
                          return absl::StrCat(entry.account(), entry.number());
                        })}),
      absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto hog = ChannelTo(server.addresses().at(0));
  const auto other = ChannelTo(server.addresses().at(0));
  Awaited<absl::StatusOr<EntryReply>> gate, taken, refused;
  const auto send = [](Channel& channel, const std::string& whose, int number,
                       Awaited<absl::StatusOr<EntryReply>>& into) {
    Entry entry;
    entry.set_account(whose);
    entry.set_number(number);
    Ledger::Stub(channel).NoteAsync(entry, {.timeout = kForever},
                                    [&into](auto reply) { into.Add(std::move(reply)); });
  };
  send(*hog, "gate", 0, gate);
  ASSERT_TRUE(service.inside.WaitForValue(1));
  // 100 of them fill the queue. The 30 of the other connection are fewer than its half, so all are
  // taken.
  for (int i = 0; i < 150; ++i) send(*hog, "hog", i, refused);
  refused.WaitForAll(50);
  for (int i = 0; i < 30; ++i) send(*other, "other", i, taken);
  ASSERT_TRUE(PollUntil([&] { return UnderWay(server) == 131; }));
  service.release.Notify();
  EXPECT_TRUE(gate.Wait().ok());
  for (const auto& reply : taken.WaitForAll(30)) EXPECT_TRUE(reply.ok()) << reply.status();
  refused.WaitForAll(150);
  const std::vector<std::string> all = service.ran.Get();
  EXPECT_LE(static_cast<size_t>(std::find(all.begin(), all.end(), "other") - all.begin()),
            kQuantum + 1);
  EXPECT_EQ(all.size(), 130u);
}

}  // namespace
}  // namespace weft::test
