// Calls that are executed one at a time, in the order in which they came: by method, and by key.
#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/ledger.weft.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

Entry EntryOf(std::string account, int64_t number) {
  Entry entry;
  entry.set_account(std::move(account));
  entry.set_number(number);
  return entry;
}

using EntryResult = Awaited<absl::StatusOr<EntryReply>>;

Callback<EntryReply> Into(EntryResult& result) {
  return [&result](absl::StatusOr<EntryReply> r) { result.Add(std::move(r)); };
}

// Records what handlers saw: the numbers of each account in order, and how many ran at once.
class Journal {
 public:
  // Returns when `hold` does; notes whether two of one account run at once.
  void Run(const Entry& entry, const std::function<void(const Entry&)>& hold) {
    Enter(entry);
    if (hold) hold(entry);
    Leave(entry);
  }
  void Enter(const Entry& entry) {
    state.Update([&](State& s) {
      s.numbers[entry.account()].push_back(entry.number());
      if (++s.running[entry.account()] > 1) s.overlapped = true;
      ++s.inside;
    });
  }
  void Leave(const Entry& entry) {
    state.Update([&](State& s) {
      --s.running[entry.account()];
      --s.inside;
    });
  }

  struct State {
    std::map<std::string, std::vector<int64_t>> numbers;
    std::map<std::string, int> running;
    int inside = 0;
    bool overlapped = false;
  };
  Watched<State> state;
};

class BlockingLedger : public Ledger::Service {
 public:
  Journal journal;
  std::function<void(const Entry&)> hold;

  absl::Status Append(ServerContext&, Entry& entry, EntryReply& reply) override {
    journal.Run(entry, hold);
    reply.set_number(entry.number());
    return absl::OkStatus();
  }
  absl::Status AppendInline(ServerContext& call, Entry& entry, EntryReply& reply) override {
    return Append(call, entry, reply);
  }
  absl::Status Note(ServerContext& call, Entry& entry, EntryReply& reply) override {
    return Append(call, entry, reply);
  }
  absl::Status Strike(ServerContext& call, Entry& entry, EntryReply& reply) override {
    return Append(call, entry, reply);
  }
};

// Keeps what it is asked until the test answers it.
class LaterLedger : public Ledger::AsyncService {
 public:
  Journal journal;
  using Waiting = std::vector<std::pair<Entry*, Responder<EntryReply>>>;
  Watched<int> waiting{0};

  void Append(ServerContext&, Entry& entry, Responder<EntryReply> responder) override {
    journal.Enter(entry);
    {
      std::lock_guard<std::mutex> lock(mu_);
      held_.emplace_back(&entry, std::move(responder));
    }
    waiting.Update([](int& n) { ++n; });
  }
  void AppendInline(ServerContext& call, Entry& entry, Responder<EntryReply> responder) override {
    Append(call, entry, std::move(responder));
  }

  // Answers what waits.
  void Answer() {
    Waiting held;
    {
      std::lock_guard<std::mutex> lock(mu_);
      held.swap(held_);
    }
    for (auto& [entry, responder] : held) {
      waiting.Update([](int& n) { --n; });
      journal.Leave(*entry);
      responder.reply().set_number(entry->number());
      responder.Finish();
    }
  }

 private:
  std::mutex mu_;
  Waiting held_;
};

class CoroutineLedger : public Ledger::CoroService {
 public:
  Journal journal;
  EchoService::Stub* behind = nullptr;

  Coro<absl::Status> Append(ServerContext&, Entry& entry, EntryReply& reply) override {
    journal.Enter(entry);
    const EchoRequest request = RequestOf("x");
    const auto echoed = co_await behind->EchoCoro(request);
    journal.Leave(entry);
    reply.set_number(entry.number());
    co_return echoed.status();
  }
};

// Makes the connection, so that the calls of the test go straight to it. The server does not have
// the method, which is enough of an answer.
void Connect(Channel& channel) {
  EXPECT_THAT(EchoService::Stub(channel).Echo(RequestOf("x")).status(),
              HasCode(absl::StatusCode::kUnimplemented));
}

std::vector<int64_t> UpTo(int64_t n) {
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < n; ++i) numbers.push_back(i);
  return numbers;
}

TEST(Order, ACallOfAnOrderedMethodWaitsForTheOneBefore) {
  BlockingLedger service;
  TestServer server(service, ServerOptions{.worker_threads = 4});
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies;
  // Many more than the 16 that a worker runs in a row: the order has to hold across the change.
  for (int i = 0; i < 300; ++i)
    stub.AppendAsync(EntryOf("a", i), {.timeout = kForever}, Into(replies));
  replies.WaitForAll(300);
  EXPECT_EQ(service.journal.state.Get().numbers["a"], UpTo(300));
  EXPECT_FALSE(service.journal.state.Get().overlapped);
}

TEST(Order, OtherConnectionsAndOtherMethodsGoOnBesideIt) {
  BlockingLedger service;
  Notification release;
  service.hold = [&](const Entry& entry) {
    if (entry.number() == 0) {
      EXPECT_TRUE(PollUntil([&] { return release.HasHappened(); }));
    }
  };
  TestServer server(service, ServerOptions{.worker_threads = 3});
  const auto one = server.Connect();
  const auto two = server.Connect();
  Connect(*one);
  EntryResult held, behind;
  Ledger::Stub(*one).AppendAsync(EntryOf("a", 0), {.timeout = kForever}, Into(held));
  ASSERT_TRUE(service.journal.state.WaitFor([](const Journal::State& s) { return s.inside == 1; }));
  Ledger::Stub(*one).AppendAsync(EntryOf("a", 1), {.timeout = kForever}, Into(behind));
  EXPECT_TRUE(Ledger::Stub(*one).Note(EntryOf("note", 1)).ok());
  EXPECT_TRUE(Ledger::Stub(*two).Append(EntryOf("other", 1)).ok());
  EXPECT_EQ(behind.count(), 0u);
  release.Notify();
  EXPECT_TRUE(behind.Wait().ok());
  EXPECT_THAT(service.journal.state.Get().numbers["a"], ElementsAre(0, 1));
}

// Expects of 20 calls that each starts when the responder of the one before has answered.
void ExpectOneAfterTheOther(void (Ledger::Stub::*append)(const Entry&, CallOptions,
                                                         Callback<EntryReply>),
                            int worker_threads) {
  LaterLedger service;
  TestServer server(service, ServerOptions{.worker_threads = worker_threads});
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies;
  for (int i = 0; i < 20; ++i) {
    (stub.*append)(EntryOf("a", i), {.timeout = kForever}, Into(replies));
  }
  for (size_t i = 0; i < 20; ++i) {
    // One waits, never two: the next call has not been started.
    ASSERT_TRUE(service.waiting.WaitForValue(1));
    service.Answer();
    replies.WaitForAll(i + 1);
  }
  EXPECT_EQ(service.journal.state.Get().numbers["a"], UpTo(20));
  EXPECT_FALSE(service.journal.state.Get().overlapped);
}

TEST(Order, TheNextCallStartsWhenTheResponderHasAnswered) {
  ExpectOneAfterTheOther(&Ledger::Stub::AppendAsync, 2);
}

TEST(Order, HoldsOnTheLoopToo) { ExpectOneAfterTheOther(&Ledger::Stub::AppendInlineAsync, 1); }

TEST(Order, CoroutinesWaitForEachOthersEnd) {
  HookedEcho echo;
  TestServer behind(echo);
  const auto behind_channel = behind.Connect();
  EchoService::Stub behind_stub(*behind_channel);
  CoroutineLedger service;
  service.behind = &behind_stub;
  TestServer server(service, ServerOptions{.worker_threads = 3});
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies;
  for (int i = 0; i < 50; ++i)
    stub.AppendAsync(EntryOf("a", i), {.timeout = kForever}, Into(replies));
  for (const auto& reply : replies.WaitForAll(50)) EXPECT_EQ(reply.status(), absl::OkStatus());
  EXPECT_EQ(service.journal.state.Get().numbers["a"], UpTo(50));
  EXPECT_FALSE(service.journal.state.Get().overlapped);
}

TEST(Order, ALargeRequestKeepsItsPlaceBeforeASmallOneBehindIt) {
  BlockingLedger service;
  TestServer server(service, ServerOptions{.worker_threads = 4});
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies;
  for (int i = 0; i < 20; ++i) {
    Entry entry = EntryOf("a", i);
    // Comes in pieces, and is whole only after the small one behind it.
    if (i % 2 == 0) entry.set_payload(Pattern(size_t{1} << 20));
    stub.AppendAsync(entry, {.timeout = kForever}, Into(replies));
  }
  replies.WaitForAll(20);
  EXPECT_EQ(service.journal.state.Get().numbers["a"], UpTo(20));
}

TEST(Order, HoldsForCallsThatWaitForTheConnection) {
  BlockingLedger service;
  TestServer server(service, ServerOptions{.worker_threads = 4});
  EntryResult replies;
  Ledger::Stub* at_up = nullptr;
  Notification all_wait;
  ChannelOptions options;
  // Holds the loop before it dials, so that all calls come to the waiting room.
  options.on_connection = [&](const ConnectionEvent& event) {
    if (event.state == ConnectionState::kConnecting) {
      EXPECT_TRUE(PollUntil([&] { return all_wait.HasHappened(); }));
    }
    // Inside the event: the waiting calls are about to be sent, and this one must go behind them.
    if (event.state != ConnectionState::kUp) return;
    at_up->AppendAsync(EntryOf("a", 50), {.timeout = kForever}, Into(replies));
  };
  const auto channel = server.Connect(options);
  Ledger::Stub stub(*channel);
  at_up = &stub;
  for (int i = 0; i < 50; ++i)
    stub.AppendAsync(EntryOf("a", i), {.timeout = kForever}, Into(replies));
  all_wait.Notify();
  replies.WaitForAll(51);
  EXPECT_EQ(service.journal.state.Get().numbers["a"], UpTo(51));
}

TEST(Order, HoldsWhileTheConnectionComesUp) {
  BlockingLedger service;
  TestServer server(service, ServerOptions{.worker_threads = 4});
  // Nothing is held: in each round the connection comes up at another point among the calls.
  for (int round = 0; round < 20; ++round) {
    const std::string account = absl::StrCat("round ", round);
    const auto channel = server.Connect();
    Ledger::Stub stub(*channel);
    EntryResult replies;
    for (int i = 0; i < 500; ++i)
      stub.AppendAsync(EntryOf(account, i), {.timeout = kForever}, Into(replies));
    replies.WaitForAll(500);
    EXPECT_EQ(service.journal.state.Get().numbers[account], UpTo(500)) << account;
  }
}

// ---- Keys

std::string KeyFromMetadata(const ServerContext& call) {
  return std::string(call.metadata().Get("account").value_or(""));
}

TEST(Order, CallsOfOneKeyRunOneAtATimeAndOthersBesideThem) {
  BlockingLedger service;
  Notification release;
  service.hold = [&](const Entry& entry) {
    if (entry.account() == "held") {
      EXPECT_TRUE(PollUntil([&] { return release.HasHappened(); }));
    }
  };
  Server server({.worker_threads = 2});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Configure(Ledger::kNote, {.key = KeyFromMetadata}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult held;
  ClientContext contexts[10];
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(contexts[i].metadata().Add("account", "held").ok());
    stub.NoteAsync(EntryOf("held", i), {.timeout = kForever, .context = &contexts[i]}, Into(held));
  }
  // One worker is held by one of the ten; the other serves the calls with another key.
  for (int i = 0; i < 5; ++i) {
    ClientContext context;
    ASSERT_TRUE(context.metadata().Add("account", "free").ok());
    EXPECT_TRUE(stub.Note(EntryOf("free", i), {.timeout = kForever, .context = &context}).ok());
  }
  EXPECT_EQ(held.count(), 0u);
  // A worker may have taken the first of the ten, and its handler not begun yet.
  EXPECT_TRUE(service.journal.state.WaitFor(
      [](const auto& state) { return state.numbers.contains("held"); }));
  EXPECT_THAT(service.journal.state.Get().numbers["held"], ElementsAre(0));
  release.Notify();
  held.WaitForAll(10);
  EXPECT_EQ(service.journal.state.Get().numbers["held"], UpTo(10));
  EXPECT_EQ(service.journal.state.Get().numbers["free"], UpTo(5));
  EXPECT_FALSE(service.journal.state.Get().overlapped);
}

TEST(Order, TheKeyMayStandInTheRequestAndJoinMethods) {
  BlockingLedger service;
  Server server({.worker_threads = 4});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  const RequestKey by_account =
      KeyOf<Entry>([](const ServerContext&, const Entry& entry) { return entry.account(); });
  ASSERT_EQ(server.Configure(Ledger::kNote, {.request_key = by_account}), absl::OkStatus());
  ASSERT_EQ(server.Configure(Ledger::kStrike, {.request_key = by_account}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies;
  for (int i = 0; i < 200; ++i) {
    for (const char* account : {"a", "b", "c"}) {
      // Another method with the same key: the two share one order.
      if (i % 3 == 0) {
        stub.StrikeAsync(EntryOf(account, i), {.timeout = kForever}, Into(replies));
      } else {
        stub.NoteAsync(EntryOf(account, i), {.timeout = kForever}, Into(replies));
      }
    }
  }
  replies.WaitForAll(600);
  auto state = service.journal.state.Get();
  EXPECT_FALSE(state.overlapped);
  for (const char* account : {"a", "b", "c"}) EXPECT_EQ(state.numbers[account], UpTo(200));
}

// The key is read from the message itself, also where the request is compressed, has an attachment,
// or both.
TEST(Order, AKeyInTheRequestIsFoundHoweverTheRequestTravels) {
  BlockingLedger service;
  Server server({.worker_threads = 4});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  std::atomic<int> unparsed{0};
  const RequestKey by_account = [&](const ServerContext&, std::string_view bytes) {
    Entry entry;
    // The key function has to get the message alone: inflated, and without the attachment.
    if (!entry.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) ++unparsed;
    return entry.account();
  };
  ASSERT_EQ(server.Configure(Ledger::kNote, {.request_key = by_account}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  Ledger::Stub stub(*channel);
  Connect(*channel);
  std::atomic<int> altered{0};
  service.hold = [&](const Entry& entry) {
    if (entry.payload() != std::string(entry.payload().size(), 'x')) ++altered;
  };
  constexpr int kCalls = 120;
  EntryResult replies;
  std::vector<std::unique_ptr<ClientContext>> contexts;
  for (int i = 0; i < kCalls; ++i) {
    // Codec, attachment and size go through all combinations in 120 calls.
    const Compression codec = i % 3 == 0   ? Compression::kNone
                              : i % 3 == 1 ? Compression::kGzip
                                           : Compression::kZstd;
    ClientContext& context = *contexts.emplace_back(std::make_unique<ClientContext>());
    if (i % 2 == 0) context.attachment() = absl::Cord(std::string(i % 4 == 0 ? 20 : 30'000, 'a'));
    Entry entry = EntryOf(i % 5 == 0 ? "other" : "one", i);
    entry.set_payload(std::string(i % 7 == 0 ? 20'000 : 5'000, 'x'));
    stub.NoteAsync(entry, {.timeout = kForever, .context = &context, .compression = codec},
                   Into(replies));
  }
  for (const auto& reply : replies.WaitForAll(kCalls)) EXPECT_TRUE(reply.ok()) << reply.status();
  const auto state = service.journal.state.Get();
  EXPECT_FALSE(state.overlapped);
  EXPECT_EQ(unparsed.load(), 0);
  EXPECT_EQ(altered.load(), 0);
  ASSERT_EQ(state.numbers.size(), 2u);
  for (const auto& [account, numbers] : state.numbers) {
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end())) << account;
  }
}

TEST(Order, WhatAKeyFunctionThrowsEndsItsCallOnly) {
  BlockingLedger service;
  Server server;
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Configure(Ledger::kNote, {.key = [](const ServerContext& call) -> std::string {
                               if (call.metadata().empty()) throw std::runtime_error("no account");
                               return "x";
                             }}),
            absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  Ledger::Stub stub(*channel);
  ClientContext refused;
  EXPECT_THAT(stub.Note(EntryOf("a", 1), {.context = &refused}).status(),
              IsStatus(absl::StatusCode::kUnknown,
                       AllOf(HasSubstr("the method's key"), HasSubstr("no account"))));
  EXPECT_FALSE(refused.may_have_been_executed());
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("account", "a").ok());
  EXPECT_TRUE(stub.Note(EntryOf("a", 2), {.context = &context}).ok());
  EXPECT_THAT(service.journal.state.Get().numbers["a"], ElementsAre(2));
}

// ---- Ends

TEST(Order, ACallThatIsGivenUpWhileItWaitsDoesNotHoldUpTheNext) {
  LaterLedger service;
  TestServer server(service);
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult replies, given_up;
  stub.AppendAsync(EntryOf("a", 0), {.timeout = kForever}, Into(replies));
  ASSERT_TRUE(service.waiting.WaitForValue(1));
  ClientContext context;
  stub.AppendAsync(EntryOf("a", 1), {.timeout = kForever, .context = &context}, Into(given_up));
  stub.AppendAsync(EntryOf("a", 2), {.timeout = kForever}, Into(replies));
  context.Cancel();
  given_up.WaitForAll(1);
  // Behind the cancel in the stream: when it is answered, the server has seen the cancel.
  EXPECT_THAT(stub.Note(EntryOf("", 0)).status(), HasCode(absl::StatusCode::kUnimplemented));
  service.Answer();
  ASSERT_TRUE(service.waiting.WaitForValue(1));
  service.Answer();
  replies.WaitForAll(2);
  // The cancelled call was passed over, and the order of the others kept.
  EXPECT_THAT(service.journal.state.Get().numbers["a"], ElementsAre(0, 2));
}

TEST(Order, RefusesMoreThanTheQueueHolds) {
  LaterLedger service;
  TestServer server(service, ServerOptions{.worker_threads = 1, .worker_queue = 4});
  const auto channel = server.Connect();
  Ledger::Stub stub(*channel);
  Connect(*channel);
  EntryResult served, refused;
  stub.AppendAsync(EntryOf("a", 0), {.timeout = kForever}, Into(served));
  ASSERT_TRUE(service.waiting.WaitForValue(1));
  // Behind the one that runs four wait, which is the limit; other keys count against it, too.
  for (int i = 1; i <= 4; ++i)
    stub.AppendAsync(EntryOf("a", i), {.timeout = kForever}, Into(served));
  for (int i = 0; i < 3; ++i)
    stub.AppendAsync(EntryOf("b", i), {.timeout = kForever}, Into(refused));
  for (const auto& reply : refused.WaitForAll(3)) {
    EXPECT_THAT(reply.status(), IsStatus(absl::StatusCode::kResourceExhausted,
                                         AllOf(HasSubstr("4 calls wait for their turn"),
                                               HasSubstr("limit is 4 (worker_queue)"))));
  }
  // One at a time: each answer lets the next one in.
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(service.waiting.WaitForValue(1));
    service.Answer();
  }
  for (const auto& reply : served.WaitForAll(5)) EXPECT_TRUE(reply.ok());
}

TEST(Order, StopEndsWhatWaits) {
  LaterLedger service;
  EntryResult replies;
  std::unique_ptr<Channel> channel;
  {
    TestServer server(service);
    channel = server.Connect();
    Ledger::Stub stub(*channel);
    Connect(*channel);
    for (int i = 0; i < 10; ++i)
      stub.AppendAsync(EntryOf("a", i), {.timeout = kForever}, Into(replies));
    ASSERT_TRUE(service.waiting.WaitForValue(1));
    std::atomic<bool> stopped{false};
    std::thread answers([&] {
      // Answers all the time: without it the handler that has begun would keep Stop waiting.
      while (!stopped.load()) service.Answer();
    });
    server->Stop(absl::ZeroDuration());
    stopped.store(true);
    answers.join();
    replies.WaitForAll(10);
  }
  auto state = service.journal.state.Get();
  // As many as have begun, without a gap.
  EXPECT_EQ(state.numbers["a"], UpTo(static_cast<int64_t>(state.numbers["a"].size())));
  EXPECT_FALSE(state.overlapped);
  EXPECT_EQ(replies.count(), 10u);
}

TEST(Order, AServerIsConfiguredBeforeItStarts) {
  BlockingLedger service;
  Server server;
  EXPECT_EQ(Server().Configure(Ledger::kNote, {.ordered = true}).code(),
            absl::StatusCode::kNotFound);
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  EXPECT_EQ(server.Configure(Ledger::kNote, {.ordered = true}).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace weft::test
