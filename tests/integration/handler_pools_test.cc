// Worker pools by name: a service that takes all its workers takes nobody else's, and what keeps
// connections alive waits for no pool.
#include <pthread.h>

#include <memory>
#include <string>

#include "tests/integration/stack.h"
#include "tests/protos/ledger.weft.h"
#include "weft/rpc/protocol/native/frame_format.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr absl::Duration kForever = absl::InfiniteDuration();

std::string ThreadName() {
  char name[16] = {};
  ::pthread_getname_np(::pthread_self(), name, sizeof name);
  return name;
}

// Notes for each method the name of the thread that ran it, which begins with its pool's.
class NamedArchive : public Archive::Service {
 public:
  Watched<std::string> store, fetch, look;
  absl::Status Store(ServerContext&, Entry&, EntryReply&) override { return Note(store); }
  absl::Status Fetch(ServerContext&, Entry&, EntryReply&) override { return Note(fetch); }
  absl::Status Look(ServerContext&, Entry&, EntryReply&) override { return Note(look); }

 private:
  static absl::Status Note(Watched<std::string>& where) {
    where.Set(ThreadName());
    return absl::OkStatus();
  }
};

class CoroutineArchive : public Archive::CoroService {
 public:
  EchoService::Stub* behind = nullptr;
  Watched<std::string> before, after;
  Coro<absl::Status> Store(ServerContext&, Entry&, EntryReply&) override {
    before.Set(ThreadName());
    const EchoRequest request = RequestOf("x");
    const auto echoed = co_await behind->EchoCoro(request);
    after.Set(ThreadName());
    co_return echoed.status();
  }
};

ServerOptions TwoPools() {
  ServerOptions options;
  options.worker_threads = 1;
  options.pools = {{"archive", {.threads = 1, .queue = 2}}, {"fetch", {.threads = 1}}};
  return options;
}

TEST(HandlerPools, MethodsRunOnThePoolsThatTheProtoNames) {
  NamedArchive service;
  TestServer server(service, TwoPools());
  const auto channel = server.Connect();
  Archive::Stub stub(*channel);
  EXPECT_TRUE(stub.Store(Entry()).ok());
  EXPECT_TRUE(stub.Fetch(Entry()).ok());
  EXPECT_TRUE(stub.Look(Entry()).ok());
  EXPECT_THAT(service.store.Get(), StartsWith("weft-archive"));
  EXPECT_THAT(service.fetch.Get(), StartsWith("weft-fetch"));
  EXPECT_THAT(service.look.Get(), StartsWith("weft-work"));
}

TEST(HandlerPools, WhatTheProgramSaysGoesBeforeTheProto) {
  NamedArchive service;
  HookedEcho echo;
  Watched<std::string> echo_ran;
  echo.echo = [&](ServerContext&, EchoRequest&, EchoReply&) {
    echo_ran.Set(ThreadName());
    return absl::OkStatus();
  };
  Server server(TwoPools());
  // The .proto file names pools for all of its methods: Register overrides them, and Configure
  // overrides Register.
  ASSERT_EQ(server.Register(service, {.pool = "fetch"}), absl::OkStatus());
  ASSERT_EQ(server.Register(echo, {.pool = "archive"}), absl::OkStatus());
  ASSERT_EQ(server.Configure(Archive::kStore, {.pool = "default"}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  Archive::Stub stub(*channel);
  EXPECT_TRUE(stub.Store(Entry()).ok());
  EXPECT_TRUE(stub.Look(Entry()).ok());
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  EXPECT_THAT(service.store.Get(), StartsWith("weft-work"));
  EXPECT_THAT(service.look.Get(), StartsWith("weft-fetch"));
  EXPECT_THAT(echo_ran.Get(), StartsWith("weft-archive"));
}

TEST(HandlerPools, AServiceThatBlocksItsPoolStarvesNobodyElse) {
  HookedEcho blocked;
  NamedArchive service;
  Server server(TwoPools());
  ASSERT_EQ(server.Register(blocked, {.pool = "archive"}), absl::OkStatus());
  ASSERT_EQ(server.Register(service, {.pool = "default"}), absl::OkStatus());
  ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
  const auto channel = ChannelTo(server.addresses().at(0));
  EchoService::Stub echo(*channel);
  EchoResult hung, waiting;
  echo.HangAsync(RequestOf("x"), {.timeout = kForever}, Into(hung));
  ASSERT_TRUE(blocked.hanging.WaitForValue(1));
  // These two fill the pool's queue.
  for (int i = 0; i < 2; ++i) echo.EchoAsync(RequestOf("x"), {.timeout = kForever}, Into(waiting));
  EXPECT_THAT(echo.Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("2 calls wait for 1 workers"),
                             HasSubstr("limit is 2 (queue of the pool archive)"))));
  // The other service runs on the pool that all share, whose one thread nobody blocks.
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Archive::Stub(*channel).Store(Entry()).ok());
  EXPECT_EQ(waiting.count(), 0u);
  blocked.release.Notify();
  EXPECT_TRUE(hung.Wait().ok());
  for (const auto& reply : waiting.WaitForAll(2)) EXPECT_TRUE(reply.ok());
}

TEST(HandlerPools, ACoroutineGoesOnOnItsOwnPool) {
  HookedEcho echo;
  TestServer behind(echo);
  const auto behind_channel = behind.Connect();
  EchoService::Stub behind_stub(*behind_channel);
  CoroutineArchive service;
  service.behind = &behind_stub;
  TestServer server(service, TwoPools());
  const auto channel = server.Connect();
  EXPECT_TRUE(Archive::Stub(*channel).Store(Entry()).ok());
  EXPECT_THAT(service.before.Get(), StartsWith("weft-archive"));
  EXPECT_THAT(service.after.Get(), StartsWith("weft-archive"));
}

TEST(HandlerPools, APoolThatIsNotThereKeepsTheServerFromStarting) {
  NamedArchive service;
  Server server({.pools = {{"archive", {}}, {"other", {}}}});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  EXPECT_THAT(
      server.Start("127.0.0.1:0"),
      IsStatus(absl::StatusCode::kNotFound, AllOf(HasSubstr("weft.test.Archive/Fetch"),
                                                  HasSubstr("there is no worker pool fetch"),
                                                  HasSubstr("pools here: archive, other"))));
  EXPECT_FALSE(server.Start("127.0.0.1:0").ok());
}

TEST(HandlerPools, PoolsOfASharedRuntimeServeTwoServers) {
  RuntimeOptions options;
  options.pools = TwoPools().pools;
  const auto runtime = RuntimeOf(std::move(options));
  NamedArchive one, two;
  TestServer first(one, ServerOptions{.runtime = runtime});
  TestServer second(two, ServerOptions{.runtime = runtime});
  const auto to_first = first.Connect();
  const auto to_second = second.Connect();
  EXPECT_TRUE(Archive::Stub(*to_first).Store(Entry()).ok());
  EXPECT_TRUE(Archive::Stub(*to_second).Store(Entry()).ok());
  // The pool has one thread, so both handlers ran on it.
  EXPECT_EQ(one.store.Get(), two.store.Get());
}

TEST(HandlerPools, HeartbeatsAndCancellingWaitForNoWorker) {
  HookedEcho service;
  ServerOptions options;
  options.worker_threads = 2;
  options.limits.heartbeat_interval = absl::Milliseconds(20);
  options.limits.heartbeat_misses = 1'000;  // a machine may be slow
  TestServer server(service, std::move(options));
  ChannelOptions client;
  client.limits.heartbeat_interval = absl::Milliseconds(20);
  client.limits.heartbeat_misses = 1'000;
  const auto channel = server.Connect(std::move(client));
  EchoService::Stub stub(*channel);
  ClientContext contexts[2];
  EchoResult hung;
  for (ClientContext& context : contexts) {
    stub.HangAsync(RequestOf("x"), {.timeout = kForever, .context = &context}, Into(hung));
  }
  ASSERT_TRUE(service.hanging.WaitForValue(2));
  // The server's heartbeats, and its answers to the client's, are all that comes.
  const auto come = [&] { return channel->connections().at(0).bytes_in; };
  // Ten more headers' worth of bytes: PING frames and their answers have no body.
  const uint64_t before = come();
  EXPECT_TRUE(PollUntil([&] { return come() >= before + 10 * internal::native::kHeaderSize; }));
  // The end of a call by its deadline waits for no worker either.
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.timeout = absl::Milliseconds(50)}).status(),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(server->connections().accepted, 1);
  EXPECT_EQ(server->connections().open, 1);
  EXPECT_EQ(hung.count(), 0u);
  for (ClientContext& context : contexts) context.Cancel();
  EXPECT_TRUE(service.seen_cancelled.WaitForValue(2));
  hung.WaitForAll(2);
}

}  // namespace
}  // namespace weft::test
