// Broadcasts over real servers in memory (members.h): every form and want, peers that do not read,
// cancelling, and what is left behind.
#include "weft/rpc/broadcast.h"

#include <malloc.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/integration/members.h"
#include "tests/integration/stack.h"
#include "weft/core/in_process_network.h"
#include "weft/core/loop_group.h"

namespace weft::test {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr const auto& kEcho = EchoService::kEcho;
constexpr const auto& kHang = EchoService::kHang;
using Result = BroadcastResult<EchoReply>;

enum class Form { kBlocking, kCallback, kCoroutine, kOneByOne };

Coro<Result> Await(Members& members, const UnaryMethod<EchoRequest, EchoReply>& method,
                   EchoRequest request, BroadcastOptions options) {
  co_return co_await BroadcastCoro(members, method, request, options);
}
Coro<Result> AwaitEach(Members& members, const UnaryMethod<EchoRequest, EchoReply>& method,
                       EchoRequest request, BroadcastOptions options) {
  BroadcastCall<EchoReply> call = BroadcastStart(members, method, request, options);
  std::vector<PeerReply<EchoReply>> seen;
  PeerReply<EchoReply> one;
  while (co_await call.NextCoro(&one)) seen.push_back(std::move(one));
  Result result = call.Finish();
  // Finish leaves out replies that Next has given. They are put back, so that all forms have one
  // kind of result.
  for (PeerReply<EchoReply>& each : seen) {
    for (PeerReply<EchoReply>& peer : result.peers) {
      if (peer.name == each.name) peer.reply = std::move(each.reply);
    }
  }
  co_return result;
}

// Makes the broadcast in one form; the result comes on any thread.
Result Make(Form form, Members& members, const UnaryMethod<EchoRequest, EchoReply>& method,
            const EchoRequest& request, const BroadcastOptions& options) {
  if (form == Form::kBlocking) return Broadcast(members, method, request, options);
  auto result = std::make_shared<Watched<std::optional<Result>>>();
  const auto take = [result](std::optional<Result> r, const std::exception_ptr&) {
    result->Set(std::move(r));
  };
  if (form == Form::kCallback) {
    BroadcastAsync(members, method, request, options, [result](Result r) { result->Set(r); });
  } else if (form == Form::kCoroutine) {
    Spawn(Await(members, method, request, options), take);
  } else {
    Spawn(AwaitEach(members, method, request, options), take);
  }
  if (!result->WaitFor([](const auto& r) { return r.has_value(); })) {
    ADD_FAILURE() << "the broadcast has not ended";
    std::abort();
  }
  return *result->Get();
}

class BroadcastForms : public testing::TestWithParam<Form> {};

TEST_P(BroadcastForms, ReachesEachMemberOnce) {
  Members members(5);
  // From 8 KiB on all connections write the request from one block; below that each has a copy.
  for (const size_t size : {0, 100, 10'000, 1'000'000}) {
    const EchoRequest request = PayloadOf(size, 7);
    const Result result = Make(GetParam(), members, kEcho, request, {});
    ASSERT_EQ(result.status, absl::OkStatus());
    ASSERT_EQ(result.peers.size(), 5u);
    for (const auto& peer : result.peers) {
      ASSERT_EQ(peer.end, PeerEnd::kOk);
      ASSERT_TRUE(peer.reply->payload() == request.payload()) << "of " << peer.name;
    }
  }
  for (int i = 0; i < 5; ++i) EXPECT_EQ(members.service(i).entered, 5);  // one was Members' own
}

TEST_P(BroadcastForms, AMajorityWaitsForNobodyElse) {
  Members members(4);
  members.service(1).echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    return members.service(1).Hang(call, request, reply);
  };
  // A majority of five with this node, which counts itself: two of the four others have to answer.
  const Result result = Make(
      GetParam(), members, kEcho, RequestOf("x"),
      {.want = Want::Majority(), .timeout = absl::InfiniteDuration(), .self = Self::kCountsItself});
  EXPECT_EQ(result.status, absl::OkStatus());
  EXPECT_GE(result.ok, 3);
  // The member that hangs is cancelled, or was never asked.
  EXPECT_TRUE(members.service(1).hanging.WaitForValue(0));
  EXPECT_TRUE(PollUntil([&] { return members.calls_under_way(1) == 0; }));
}

TEST_P(BroadcastForms, OneFailureEndsWhatIsForAll) {
  Members members(3);
  for (const int i : {0, 2}) {
    members.service(i).echo = [&members, i](ServerContext& call, EchoRequest& q, EchoReply& r) {
      return members.service(i).Hang(call, q, r);
    };
  }
  members.service(1).echo = [](ServerContext&, EchoRequest&, EchoReply&) {
    return absl::PermissionDeniedError("not you");
  };
  const Result result =
      Make(GetParam(), members, kEcho, RequestOf("x"), {.timeout = absl::InfiniteDuration()});
  EXPECT_EQ(result.status.code(), StatusCode::kPermissionDenied);
  // Both others hang, so nobody has answered when c fails.
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("0 of 3 answered, 3 needed: c: "));
  for (const int i : {0, 2}) EXPECT_TRUE(members.service(i).hanging.WaitForValue(0));
}

TEST_P(BroadcastForms, EndsByItsDeadline) {
  Members members(3);
  const Result result = Make(GetParam(), members, kHang, RequestOf("x"),
                             {.want = Want::AtLeast(2), .timeout = absl::Milliseconds(20)});
  EXPECT_EQ(result.status.code(), StatusCode::kDeadlineExceeded);
}

TEST_P(BroadcastForms, IsCancelledFromOutside) {
  Members members(3);
  ClientContext context;
  std::thread canceller([&] {
    EXPECT_TRUE(members.service(0).hanging.WaitForValue(1));
    context.Cancel();
  });
  const Result result =
      Make(GetParam(), members, kHang, RequestOf("x"),
           {.want = Want::First(), .timeout = absl::InfiniteDuration(), .context = &context});
  canceller.join();
  EXPECT_EQ(result.status.code(), StatusCode::kCancelled);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(members.service(i).hanging.WaitForValue(0));
}

TEST_P(BroadcastForms, EachHearsAll) {
  Members members(3);
  members.Stop(1);
  const Result result = Make(GetParam(), members, kEcho, RequestOf("x"), {.want = Want::Each()});
  EXPECT_EQ(result.status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(result.ok, 2);
  EXPECT_EQ(result.failed, 1);
  EXPECT_EQ(result.Find("b")->reply->text(), "x");
  EXPECT_EQ(result.Find("d")->reply->text(), "x");
  EXPECT_FALSE(result.Find("c")->may_have_been_executed);
}

TEST_P(BroadcastForms, IsCompressedOnceAndSaysTheSameToAll) {
  Members members(3);
  EchoRequest request;
  request.set_text(std::string(200'000, 'z'));
  for (const Compression codec : {Compression::kGzip, Compression::kZstd}) {
    const Result result = Make(GetParam(), members, kEcho, request, {.compression = codec});
    ASSERT_EQ(result.status, absl::OkStatus());
    for (const auto& peer : result.peers) EXPECT_EQ(peer.reply->text(), request.text());
  }
}

std::string NameOfForm(const testing::TestParamInfo<Form>& form) {
  const char* const names[] = {"Blocking", "Callback", "Coroutine", "OneByOne"};
  return names[static_cast<int>(form.param)];
}
INSTANTIATE_TEST_SUITE_P(All, BroadcastForms,
                         testing::Values(Form::kBlocking, Form::kCallback, Form::kCoroutine,
                                         Form::kOneByOne),
                         NameOfForm);

// ---- who runs where

TEST(BroadcastCallbacks, NeverRunInsideTheCall) {
  Members members(2);
  std::mutex mu;  // held around the call, and taken by the callback
  Awaited<Result> results;
  const auto into = [&](Result r) {
    std::lock_guard<std::mutex> lock(mu);
    results.Add(std::move(r));
  };
  {
    std::lock_guard<std::mutex> lock(mu);
    // Three ways to end: by a reply, by an error at once, and at once because this node alone is
    // enough.
    BroadcastAsync(members, kEcho, RequestOf("x"), {}, into);
    BroadcastAsync(members, kEcho, RequestOf("x"), {.want = Want::AtLeast(9)}, into);
    BroadcastAsync(members, kEcho, RequestOf("x"),
                   {.want = Want::First(), .self = Self::kCountsItself}, into);
    EXPECT_EQ(results.count(), 0u);
  }
  results.WaitForAll(3);
}

TEST(BroadcastCallbacks, RunOnTheExecutorThatIsWished) {
  class Later final : public Executor {
   public:
    void Execute(absl::AnyInvocable<void() &&> closure) override {
      auto shared = std::make_shared<absl::AnyInvocable<void() &&>>(std::move(closure));
      closures.Update([&](auto& all) { all.push_back(shared); });
    }
    Watched<std::vector<std::shared_ptr<absl::AnyInvocable<void() &&>>>> closures;
  };
  Members members(2);
  Later later;
  std::optional<Result> result;
  BroadcastAsync(members, kEcho, RequestOf("x"), {.executor = &later},
                 [&](Result r) { result = std::move(r); });
  ASSERT_TRUE(later.closures.WaitFor([](const auto& all) { return all.size() == 1; }));
  // The executor has the closure and has not run it.
  EXPECT_FALSE(result.has_value());
  std::move (*later.closures.Get()[0])();
  EXPECT_EQ(result->status, absl::OkStatus());
}

TEST(BroadcastCallbacks, ABlockingOneIsRefusedOnAnIoThread) {
  Members members(1);
  Awaited<absl::Status> refused;
  members.runtime().loops().At(0).loop->Post(
      [&](internal::TaskFate) { refused.Add(Broadcast(members, kEcho, RequestOf("x")).status); });
  EXPECT_EQ(refused.Wait().code(), StatusCode::kFailedPrecondition);
}

TEST(BroadcastCallbacks, MayBroadcastAgain) {
  Members members(3);
  Awaited<Result> results;
  std::function<void(int)> again = [&](int left) {
    BroadcastAsync(members, kEcho, RequestOf("x"), {}, [&, left](Result r) {
      if (left > 0) {
        again(left - 1);
      } else {
        results.Add(std::move(r));
      }
    });
  };
  again(200);
  EXPECT_EQ(results.Wait().status, absl::OkStatus());
}

// ---- ends before the end

TEST(BroadcastLife, ACoroutineThatIsDestroyedCancelsItsCalls) {
  Members members(2);
  {
    auto call =
        // The calls start here, before anything awaits them.
        BroadcastCoro(members, kHang, RequestOf("x"), {.timeout = absl::InfiniteDuration()});
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(members.service(i).hanging.WaitForValue(1));
  }
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(members.service(i).hanging.WaitForValue(0));
}

TEST(BroadcastLife, OneByOneItMayBeDroppedInTheMiddle) {
  Members members(3);
  members.service(2).echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    return members.service(2).Hang(call, request, reply);
  };
  {
    BroadcastCall<EchoReply> call =
        BroadcastStart(members, kEcho, RequestOf("x"), {.timeout = absl::InfiniteDuration()});
    PeerReply<EchoReply> one;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(call.Next(&one));
      EXPECT_EQ(one.reply->text(), "x");
    }
    ASSERT_TRUE(members.service(2).hanging.WaitForValue(1));
  }
  EXPECT_TRUE(members.service(2).hanging.WaitForValue(0));
}

TEST(BroadcastLife, InAHandlerItEndsWithTheCallThatItServes) {
  Members members(2);
  HookedEcho front;
  Watched<std::optional<Result>> inner;
  // Neither a deadline nor a context of its own: only the scope of the outer call can end it.
  front.echo = [&](ServerContext&, EchoRequest& request, EchoReply&) {
    inner.Set(Broadcast(members, kHang, request, {.timeout = absl::InfiniteDuration()}));
    return absl::OkStatus();
  };
  TestServer server(front);
  const std::unique_ptr<Channel> channel = server.Connect();
  ClientContext context;
  EchoResult outer;
  EchoService::Stub(*channel).EchoAsync(
      RequestOf("x"), {.timeout = absl::InfiniteDuration(), .context = &context}, Into(outer));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(members.service(i).hanging.WaitForValue(1));
  context.Cancel();
  EXPECT_EQ(outer.Wait().status().code(), StatusCode::kCancelled);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(members.service(i).hanging.WaitForValue(0));
  ASSERT_TRUE(inner.WaitFor([](const auto& r) { return r.has_value(); }));
  EXPECT_EQ(inner.Get()->status.code(), StatusCode::kCancelled);
}

// ---- peers that do not read

constexpr size_t kMiB = size_t{1} << 20;

ChannelOptions WithOutput(size_t bytes) {
  ChannelOptions options;
  options.limits.max_output_bytes = bytes;
  return options;
}

// Broadcasts 1 MiB to three, until the connection to the first, which is held, takes no more. The
// pipe in memory takes 256 KiB of it all the same, so four messages with their heads fit into 4
// MiB.
void FillFirst(Members& members, std::vector<std::shared_ptr<Awaited<Result>>>* waiting) {
  ASSERT_TRUE(members.network().Hold(0));
  for (int i = 0; i < 4; ++i) {
    auto result = std::make_shared<Awaited<Result>>();
    BroadcastAsync(members, kEcho, PayloadOf(kMiB), {.timeout = absl::InfiniteDuration()},
                   [result](Result r) { result->Add(std::move(r)); });
    waiting->push_back(std::move(result));
  }
}

class SlowPeer : public testing::Test {
 protected:
  SlowPeer() {
    FillFirst(members_, &first_);
    for (const int i : {1, 2}) {  // one call was Members' own
      EXPECT_TRUE(PollUntil([&] { return members_.service(i).entered == 5; }));
    }
  }
  ~SlowPeer() override {
    members_.network().Release(0);
    for (const auto& result : first_) EXPECT_EQ(result->Wait().status, absl::OkStatus());
  }
  void Begin(Slow slow, Awaited<Result>& result, absl::Duration timeout = absl::InfiniteDuration(),
             Want want = Want::Each(), ClientContext* context = nullptr) {
    // 1 KiB less, so that two of them with their heads fit into half of the output, see
    // OnlySoMuchWaits.
    BroadcastAsync(members_, kEcho, PayloadOf(kMiB - 1024),
                   {.want = want, .timeout = timeout, .slow = slow, .context = context},
                   [&result](Result r) { result.Add(std::move(r)); });
  }

  Members members_{3, WithOutput(4 * kMiB)};
  std::vector<std::shared_ptr<Awaited<Result>>> first_;
};

TEST_F(SlowPeer, Case17FailsAtOnceWhileTheOthersAreServed) {
  for (int i = 0; i < 20; ++i) {
    Awaited<Result> result;
    Begin(Slow::kFail, result);
    const Result ended = result.Wait();
    EXPECT_EQ(ended.status.code(), StatusCode::kResourceExhausted);
    EXPECT_EQ(ended.ok, 2);
    EXPECT_EQ(ended.Find("b")->end, PeerEnd::kFailed);
    EXPECT_FALSE(ended.Find("b")->may_have_been_executed);
  }
}

TEST_F(SlowPeer, Case17IsSkippedAndCounted) {
  for (int i = 0; i < 20; ++i) {
    Awaited<Result> result;
    Begin(Slow::kSkip, result, absl::InfiniteDuration(), Want::AtLeast(2));
    const Result ended = result.Wait();
    EXPECT_EQ(ended.status, absl::OkStatus());
    EXPECT_EQ(ended.ok, 2);
  }
  Awaited<Result> all;
  Begin(Slow::kSkip, all);
  EXPECT_EQ(all.Wait().skipped, 1);
  EXPECT_EQ(all.Wait().Find("b")->end, PeerEnd::kSkipped);
}

TEST_F(SlowPeer, Case17IsWaitedForUntilTheDeadline) {
  Awaited<Result> result;
  Begin(Slow::kWait, result, absl::Milliseconds(50));
  const Result ended = result.Wait();
  EXPECT_EQ(ended.status.code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ended.ok, 2);
  EXPECT_FALSE(ended.Find("b")->may_have_been_executed);
  EXPECT_THAT(std::string(ended.Find("b")->reply.status().message()),
              HasSubstr("no room to be written within 50.0 ms"));
}

TEST_F(SlowPeer, WhoHasWaitedIsSentWhenThereIsRoom) {
  const int64_t before = members_.service(0).entered;
  Awaited<Result> first, second;
  Begin(Slow::kWait, first);
  Begin(Slow::kWait, second);
  Awaited<Result> hasty;  // a call that does not wait still fails
  Begin(Slow::kFail, hasty);
  EXPECT_EQ(hasty.Wait().Find("b")->end, PeerEnd::kFailed);
  EXPECT_EQ(first.count() + second.count(), 0u);
  EXPECT_EQ(members_.service(0).entered, before);
  ASSERT_TRUE(members_.network().Release(0));
  EXPECT_EQ(first.Wait().status, absl::OkStatus());
  EXPECT_EQ(second.Wait().status, absl::OkStatus());
}

TEST_F(SlowPeer, WhoWaitsCanBeCancelled) {
  ClientContext context;
  Awaited<Result> result;
  Begin(Slow::kWait, result, absl::InfiniteDuration(), Want::All(), &context);
  context.Cancel();
  EXPECT_EQ(result.Wait().status.code(), StatusCode::kCancelled);
}

TEST_F(SlowPeer, WhoWaitsWhenTheConnectionIsLostIsLikeOneThatIsNew) {
  Awaited<Result> result;
  Begin(Slow::kWait, result);
  ASSERT_TRUE(members_.network().Cut(0));
  // The call goes over the next connection, or finds none at the moment.
  const Result ended = result.Wait();
  const PeerReply<EchoReply>& peer = *ended.Find("b");
  if (peer.end != PeerEnd::kOk) {
    EXPECT_EQ(peer.reply.status().code(), StatusCode::kUnavailable);
    EXPECT_FALSE(peer.may_have_been_executed);
  }
  for (const auto& each : first_) (void)each->Wait();
  first_.clear();
}

TEST_F(SlowPeer, OnlySoMuchWaits) {
  std::vector<std::unique_ptr<Awaited<Result>>> results;
  for (int i = 0; i < 10; ++i) {
    Begin(Slow::kWait, *results.emplace_back(std::make_unique<Awaited<Result>>()));
  }
  // Requests that wait may take half of the 4 MiB: two of them.
  for (size_t i = 2; i < 10; ++i) {
    EXPECT_EQ(results[i]->Wait().Find("b")->reply.status().code(), StatusCode::kResourceExhausted);
  }
  members_.network().Release(0);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(results[i]->Wait().status, absl::OkStatus()) << i;
}

// ---- cases from other systems' faults

// Requests fill the pipes, and their answers have to pass through the same connections. A side that
// stopped reading until its own output has left would stop both.
TEST(BroadcastCases, Case16BothSidesSendMuchAtOnce) {
  constexpr int kEach = 32;
  Members left(2), right(2);
  std::vector<std::unique_ptr<Awaited<Result>>> results;
  for (int i = 0; i < kEach; ++i) {
    for (Members* side : {&left, &right}) {
      auto& result = *results.emplace_back(std::make_unique<Awaited<Result>>());
      BroadcastAsync(*side, kEcho, PayloadOf(kMiB),
                     {.timeout = absl::InfiniteDuration(), .slow = Slow::kWait},
                     [&result](Result r) { result.Add(std::move(r)); });
    }
  }
  for (const auto& result : results) EXPECT_EQ(result->Wait().status, absl::OkStatus());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
size_t HeapInUse() { return ::mallinfo2().uordblks; }
#else
size_t HeapInUse() { return 0; }
#endif

TEST(BroadcastCases, Case18AQuorumLeavesNothingBehind) {
  Members members(2);
  members.service(1).echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    return members.service(1).Hang(call, request, reply);
  };
  const auto quorums = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const Result result = Broadcast(members, kEcho, RequestOf("x"),
                                      {.want = Want::Majority(),
                                       .timeout = absl::InfiniteDuration(),
                                       .self = Self::kCountsItself});
      ASSERT_EQ(result.status, absl::OkStatus());
    }
    EXPECT_TRUE(PollUntil([&] { return members.calls_under_way(1) == 0; }));
    EXPECT_TRUE(members.service(1).hanging.WaitForValue(0));
  };
  quorums(2'000);  // pools and tables have their size now
  const size_t before = HeapInUse();
  quorums(10'000);
  // Pools keep as many calls as were once under way together, which differs from run to run; a leak
  // of 32 bytes a broadcast would show.
  EXPECT_LT(HeapInUse(), before + before / 100 + (256 << 10));
  EXPECT_EQ(members.calls_under_way(0), 0u);
}

TEST(BroadcastCases, Case18ARestThatRunsIsCountedToItsEnd) {
  Members members(2);
  std::vector<std::shared_ptr<const RestOfBroadcast>> rests;
  // A majority needs `self`. It is refused before a call starts, so nothing of these runs on.
  for (int i = 0; i < 20; ++i) {
    Result result = Broadcast(
        members, kHang, RequestOf("x"),
        {.want = Want::Majority(), .timeout = absl::InfiniteDuration(), .self = Self::kUnsaid});
    EXPECT_EQ(result.status.code(), StatusCode::kInvalidArgument);
  }
  members.service(1).echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    return members.service(1).Hang(call, request, reply);
  };
  for (int i = 0; i < 20; ++i) {
    Result result = Broadcast(
        members, kEcho, RequestOf("x"),
        {.want = Want::First(), .timeout = absl::InfiniteDuration(), .let_rest_run = true});
    ASSERT_EQ(result.status, absl::OkStatus());
    ASSERT_NE(result.rest, nullptr);
    rests.push_back(result.rest);
  }
  // The calls that were let run hang until here.
  members.service(1).release.Notify();
  for (const auto& rest : rests) {
    EXPECT_TRUE(PollUntil([&] { return rest->under_way == 0; }));
    EXPECT_EQ(rest->ok, 1);
  }
}

}  // namespace
}  // namespace weft::test
