// Calls that are authenticated one by one: on a server, and on a channel's own services.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/stack.h"
#include "tests/protos/ledger.weft.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/line_protocol.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/step_transport.h"
#include "weft/core/manual_clock.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kForever = absl::InfiniteDuration();

// Lets every connection in, and of calls those whose token is not "bad"; says all that it was
// asked. "slow" waits until it is let go.
class CallKeeper {
 public:
  Authenticator Authenticate() {
    return [this](const AuthenticationRequest& asks) -> absl::StatusOr<std::string> {
      const std::string token(asks.token);
      if (!asks.is_call()) return absl::StrCat("connection of ", token);
      asked.Update([&](auto& all) {
        all.push_back(absl::StrCat(std::string(asks.method), " ", std::string(asks.scheme), "/",
                                   token, "/", std::string(asks.connection), "/",
                                   std::string(asks.transport.first_name())));
      });
      if (token == "slow") {
        EXPECT_TRUE(open.Wait());
      }
      if (token == "bad") return absl::UnauthenticatedError("who are you?");
      return absl::StrCat("caller ", token);
    };
  }
  [[nodiscard]] bool AskedFor(size_t n) {
    return asked.WaitFor([&](const auto& all) { return all.size() >= n; });
  }
  Notification open;
  Watched<std::vector<std::string>> asked;
};

// The options of a call that carries these authorizations.
struct With {
  explicit With(const std::string& authorization, const std::string& second = "") {
    EXPECT_TRUE(context.metadata().Add("authorization", authorization).ok());
    if (!second.empty()) {
      EXPECT_TRUE(context.metadata().Add("authorization", second).ok());
    }
  }
  CallOptions options() { return {.timeout = kForever, .context = &context}; }
  ClientContext context;
};

class Naming : public HookedEcho {
 public:
  Naming() {
    echo = [this](ServerContext& call, EchoRequest& request, EchoReply& reply) {
      if (request.number() == 1) back = call.caller();
      reply.set_text(call.identity());
      return absl::OkStatus();
    };
  }
  std::shared_ptr<CallTarget> back;
};

std::string IdentityOf(CallTarget& target, CallOptions options, int64_t number = 0) {
  EchoRequest request;
  request.set_number(number);
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(target).Echo(request, options);
  return reply.ok() ? reply->text() : reply.status().ToString();
}

class CallAuthenticationOfAServer : public testing::Test {
 protected:
  ServerOptions Options() {
    ServerOptions options;
    options.authenticator = keeper_.Authenticate();
    options.authenticate_calls = true;
    return options;
  }

  CallKeeper keeper_;
  Naming service_;
};

TEST_F(CallAuthenticationOfAServer, AsksForEachCallWithItsOwnToken) {
  TestServer server(service_, Options());
  const auto channel = server.Connect({.auth_token = "of Hello"});
  // The scheme is compared in lower case, a token may have spaces, and a value of one word is a
  // token without a scheme.
  With ann("Bearer ann"), bob("BASIC  bob b"), bare("bare");
  EXPECT_EQ(IdentityOf(*channel, ann.options()), "caller ann");
  EXPECT_EQ(IdentityOf(*channel, bob.options()), "caller bob b");
  EXPECT_EQ(IdentityOf(*channel, bare.options()), "caller bare");
  EXPECT_EQ(IdentityOf(*channel, {.timeout = kForever}), "caller of Hello");
  // The same token once more: no verdict is remembered, so the authenticator is asked again.
  With again("Bearer ann");
  EXPECT_EQ(IdentityOf(*channel, again.options()), "caller ann");
  const std::string echo = "weft.test.EchoService/Echo ", of = "/connection of of Hello/";
  EXPECT_THAT(
      keeper_.asked.Get(),
      ElementsAre(absl::StrCat(echo, "bearer/ann", of), absl::StrCat(echo, "basic/bob b", of),
                  absl::StrCat(echo, "/bare", of), absl::StrCat(echo, "/of Hello", of),
                  absl::StrCat(echo, "bearer/ann", of)));
}

TEST_F(CallAuthenticationOfAServer, RefusesACallAndNotItsConnection) {
  TestServer server(service_, Options());
  const auto channel = server.Connect({.auth_token = "good"});
  With bad("Bearer bad"), twice("Bearer ann", "Bearer bob");
  EXPECT_THAT(IdentityOf(*channel, bad.options()),
              AllOf(HasSubstr("UNAUTHENTICATED"),
                    HasSubstr("call weft.test.EchoService/Echo: not authenticated: who are you? "
                              "(from 127.0.0.1:")));
  EXPECT_THAT(IdentityOf(*channel, twice.options()),
              AllOf(HasSubstr("UNAUTHENTICATED"), HasSubstr("two authorizations")));
  EXPECT_EQ(service_.entered, 0) << "no handler has seen them";
  EXPECT_EQ(IdentityOf(*channel, {.timeout = kForever}), "caller good");
  // The connection that carried the refused calls carries this one.
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST_F(CallAuthenticationOfAServer, SeesTheTransportsName) {
  ServerOptions options = Options();
  options.transport = std::make_shared<StepFactory>(StepScript{.name = "bob"});
  TestServer server(service_, std::move(options));
  const auto channel =
      server.Connect({.transport = std::make_shared<StepFactory>(StepScript{.name = "ann"})});
  With call("x");
  EXPECT_EQ(IdentityOf(*channel, call.options()), "caller x");
  EXPECT_THAT(keeper_.asked.Get(), ElementsAre("weft.test.EchoService/Echo /x/connection of /ann"));
}

TEST_F(CallAuthenticationOfAServer, HoldsUpNoOtherCallOfTheConnection) {
  TestServer server(service_, Options());
  const auto channel = server.Connect();
  With slow("slow");
  EchoResult result;
  EchoService::Stub(*channel).EchoAsync(RequestOf(""), slow.options(), Into(result));
  ASSERT_TRUE(keeper_.AskedFor(1));
  for (int i = 0; i < 10; ++i) {
    // There are two threads of the authenticator, and one of them is held by "slow".
    With quick("quick");
    EXPECT_EQ(IdentityOf(*channel, quick.options()), "caller quick");
  }
  EXPECT_EQ(result.count(), 0u);
  keeper_.open.Notify();
  EXPECT_EQ(result.Wait()->text(), "caller slow");
}

// The handler of neither call is entered, and the authenticator is not asked for the one that only
// waited.
TEST_F(CallAuthenticationOfAServer, LetsCallsBeCancelledWhileTheyWait) {
  ServerOptions options = Options();
  options.authenticator_threads = 1;
  TestServer server(service_, std::move(options));
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  With running("slow"), waiting("never asked");
  EchoResult first, second;
  stub.EchoAsync(RequestOf(""), running.options(), Into(first));
  ASSERT_TRUE(keeper_.AskedFor(1));
  stub.EchoAsync(RequestOf(""), waiting.options(), Into(second));
  // Both have come to the server: one is at the authenticator, the other waits for the thread.
  ASSERT_TRUE(PollUntil([&] {
    const auto list = server->connection_list();
    return list.size() == 1 && list[0].calls == 2;
  }));
  running.context.Cancel();
  waiting.context.Cancel();
  EXPECT_THAT(first.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(second.Wait().status(), HasCode(absl::StatusCode::kCancelled));
  // Both have ended at the server, although the authenticator still runs for the first one.
  EXPECT_TRUE(PollUntil([&] { return server->connection_list()[0].calls == 0; }));
  keeper_.open.Notify();
  With last("last");
  EXPECT_EQ(IdentityOf(*channel, last.options()), "caller last");
  // The second one was taken out of the queue before its turn.
  EXPECT_EQ(keeper_.asked.Get().size(), 2u);
  EXPECT_EQ(service_.entered, 1);
}

// The client sends nothing at its deadline: the server has a deadline of its own.
TEST_F(CallAuthenticationOfAServer, EndsCallsWhoseDeadlinePassesWhileTheyWait) {
  ManualClock clock;
  ServerOptions options = Options();
  options.runtime = RuntimeOf({.clock = &clock});
  TestServer server(service_, std::move(options));
  // A peer of bytes: weft's own client would send a CANCEL at its deadline.
  RawPeer peer = RawPeer::ConnectTo(server.port());
  peer.Send(raw::Opening({.token = "slow"}));
  peer.Send(raw::Request({.id = 1, .timeout_us = 3'000'000, .message = raw::Text("")}));
  ASSERT_TRUE(keeper_.AskedFor(1));
  clock.Advance(std::chrono::seconds(3));
  ASSERT_EQ(peer.Read(8), raw::Preface());
  const std::optional<RawFrame> reply = peer.ReadFrame(internal::native::FrameType::kResponse);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->header.aux & 0xFF, 4u) << "DEADLINE_EXCEEDED";
  EXPECT_THAT(reply->body, HasSubstr("while its caller was authenticated"));
  keeper_.open.Notify();
  EXPECT_EQ(service_.entered, 0);
}

TEST_F(CallAuthenticationOfAServer, BoundsWhatWaitsOnTheWholeServer) {
  ServerOptions options = Options();
  options.authenticator_threads = 1;
  // A place is for those that wait. Calls whose authenticator runs take none.
  options.max_waiting_authentications = 1;
  Server server(std::move(options));
  ASSERT_EQ(server.Register(service_), absl::OkStatus());
  ListenerOptions second;
  second.authenticator = keeper_.Authenticate();  // with a thread of its own
  ASSERT_EQ(server.AddListener("127.0.0.1:0", {}), absl::OkStatus());
  ASSERT_EQ(server.AddListener("127.0.0.1:0", std::move(second)), absl::OkStatus());
  const auto one = ChannelTo(server.addresses()[0]), other = ChannelTo(server.addresses()[1]);
  // Both connections are up, and so known, before anything waits.
  With warm("warm"), warm_too("warm");
  ASSERT_EQ(IdentityOf(*one, warm.options()), "caller warm");
  ASSERT_EQ(IdentityOf(*other, warm_too.options()), "caller warm");
  With running("slow"), running_too("slow"), waiting("later");
  EchoResult first, second_result, third;
  EchoService::Stub(*one).EchoAsync(RequestOf(""), running.options(), Into(first));
  EchoService::Stub(*other).EchoAsync(RequestOf(""), running_too.options(), Into(second_result));
  // Two warm calls, and the two that keep both threads busy.
  ASSERT_TRUE(keeper_.AskedFor(4));
  EchoService::Stub(*one).EchoAsync(RequestOf(""), waiting.options(), Into(third));
  ASSERT_TRUE(PollUntil([&] {
    size_t calls = 0;
    for (const ConnectionInfo& info : server.connection_list()) calls += info.calls;
    return calls == 3;
  }));
  With late("late");
  EXPECT_THAT(IdentityOf(*other, late.options()),
              AllOf(HasSubstr("UNAVAILABLE"),
                    HasSubstr("not authenticated: too many calls wait to be authenticated")));
  keeper_.open.Notify();
  EXPECT_EQ(first.Wait()->text(), "caller slow");
  EXPECT_EQ(second_result.Wait()->text(), "caller slow");
  EXPECT_EQ(third.Wait()->text(), "caller later");
}

TEST_F(CallAuthenticationOfAServer, EndsWithItsConnectionAndItsServer) {
  ServerOptions options = Options();
  options.authenticator_threads = 1;
  TestServer server(service_, std::move(options));
  std::vector<RawPeer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(RawPeer::ConnectTo(server.port()));
    peers.back().Send(raw::Opening({.token = "slow"}));
    ASSERT_EQ(peers.back().Read(8), raw::Preface());
    // Only the first peer's call reaches the authenticator, whose one thread it keeps.
    if (i == 0) {
      peers.back().Send(raw::Request({.id = 1, .message = raw::Text("")}));
      ASSERT_TRUE(keeper_.AskedFor(1));
    }
  }
  // The connection ends while its question runs; its verdict will find nothing.
  peers.erase(peers.begin());
  EXPECT_TRUE(PollUntil([&] { return server->connections().open == 2; }));
  std::thread stopper([&] { server->Stop(absl::ZeroDuration()); });
  for (RawPeer& peer : peers) EXPECT_TRUE(peer.WaitForClose());
  keeper_.open.Notify();
  stopper.join();
  EXPECT_EQ(service_.entered, 0);
}

class KeptNumbers final : public Ledger::Service {
 public:
  Watched<std::vector<int64_t>> numbers;
  absl::Status Append(ServerContext&, Entry& entry, EntryReply& reply) override {
    numbers.Update([&](auto& all) { all.push_back(entry.number()); });
    reply.set_number(entry.number());
    return absl::OkStatus();
  }
  absl::Status Note(ServerContext& call, Entry& entry, EntryReply& reply) override {
    return Append(call, entry, reply);
  }
};

// The first one's verdict comes last; those behind it have theirs, and wait for it.
TEST(CallAuthenticationOfOrderedCalls, KeepsTheOrderInWhichTheyCame) {
  for (const bool by_request : {false, true}) {
    CallKeeper keeper;
    KeptNumbers service;
    Server server({.authenticator = keeper.Authenticate(), .authenticate_calls = true});
    ASSERT_EQ(server.Register(service), absl::OkStatus());
    if (by_request) {
      // The key is in the request: known when the call is let in.
      ASSERT_EQ(server.Configure(Ledger::kNote, {.request_key =
                                                     [](const ServerContext&, std::string_view) {
                                                       return std::string("all");
                                                     }}),
                absl::OkStatus());
    }
    ASSERT_EQ(server.Start("127.0.0.1:0"), absl::OkStatus());
    const auto channel = ChannelTo(server.addresses()[0], {.auth_token = "quick"});
    Ledger::Stub stub(*channel);
    With slow("slow");
    Awaited<absl::StatusOr<EntryReply>> replies;
    for (int i = 1; i <= 6; ++i) {
      Entry entry;
      entry.set_number(i);
      const CallOptions options = i == 1 ? slow.options() : CallOptions{.timeout = kForever};
      const auto keep = [&](absl::StatusOr<EntryReply> reply) { replies.Add(std::move(reply)); };
      if (by_request) {
        stub.NoteAsync(entry, options, keep);
      } else {
        stub.AppendAsync(entry, options, keep);
      }
    }
    ASSERT_TRUE(keeper.AskedFor(6));
    // Five verdicts are known, and their calls stand behind the first one.
    EXPECT_TRUE(service.numbers.Get().empty());
    keeper.open.Notify();
    for (const auto& reply : replies.WaitForAll(6)) EXPECT_TRUE(reply.ok()) << reply.status();
    EXPECT_THAT(service.numbers.Get(), ElementsAre(1, 2, 3, 4, 5, 6));
  }
}

class NamedRows final : public Rows::Service {
 public:
  absl::Status Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) override {
    EXPECT_EQ(call.identity(), "caller good");
    Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    Row row;
    row.set_text(call.identity());
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!rows.Write(row)) break;
    }
    return absl::OkStatus();
  }
};

TEST(CallAuthenticationOfStreams, AsksBeforeTheHandlerSeesAMessage) {
  CallKeeper keeper;
  NamedRows service;
  TestServer server(service, {.authenticator = keeper.Authenticate(), .authenticate_calls = true});
  const auto channel = server.Connect();
  Rows::Stub stub(*channel);
  With good("good"), bad("bad"), lists("ann");
  auto sends = stub.Add(good.options());
  // 100 rows are 1 MB, four times the window: most of them wait at the client until the verdict has
  // let a handler read.
  Row row;
  row.set_data(std::string(10'000, 'x'));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(sends.Write(row));
  const absl::StatusOr<RowSum> sum = sends.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 100);
  auto refused = stub.Add(bad.options());
  // True or false: the refusal may be there already.
  (void)refused.Write(row);
  EXPECT_THAT(refused.Finish().status(),
              IsStatus(absl::StatusCode::kUnauthenticated, HasSubstr("who are you?")));
  RowQuery query;
  query.set_rows(3);
  auto reads = stub.List(query, lists.options());
  Row read;
  int count = 0;
  while (reads.Read(&read)) {
    EXPECT_EQ(read.text(), "caller ann");
    ++count;
  }
  EXPECT_EQ(count, 3);
}

TEST(CallAuthentication, IsOfEveryProtocol) {
  CallKeeper keeper;
  Naming service;
  ServerOptions options;
  options.authenticator = keeper.Authenticate();
  options.authenticate_calls = true;
  // Lines carry no metadata, so every call goes by its connection's token.
  options.protocols = {kLineProtocol};
  TestServer server(service, std::move(options));
  ChannelOptions good, bad;
  good.protocol = bad.protocol = kLineProtocol;
  good.auth_token = "good";
  bad.auth_token = "bad";
  EXPECT_EQ(IdentityOf(*server.Connect(std::move(good)), {.timeout = kForever}), "caller good");
  EXPECT_THAT(IdentityOf(*server.Connect(std::move(bad)), {.timeout = kForever}),
              HasSubstr("who are you?"));
}

TEST(CallAuthentication, IsSaidOfEachListener) {
  CallKeeper keeper;
  Naming service;
  Server server({.authenticator = keeper.Authenticate()});
  ASSERT_EQ(server.Register(service), absl::OkStatus());
  ListenerOptions calls, open;
  calls.authenticate_calls = true;
  open.authenticator = nullptr;
  ASSERT_EQ(server.AddListener("127.0.0.1:0", {}), absl::OkStatus());
  ASSERT_EQ(server.AddListener("127.0.0.1:0", calls), absl::OkStatus());
  ASSERT_EQ(server.AddListener("127.0.0.1:0", open), absl::OkStatus());
  std::vector<std::string> names;
  for (const std::string& address : server.addresses()) {
    names.push_back(IdentityOf(*ChannelTo(address, {.auth_token = "ann"}), {.timeout = kForever}));
  }
  EXPECT_THAT(names, ElementsAre("connection of ann", "caller ann", ""));
  open.authenticate_calls = true;
  EXPECT_THAT(server.AddListener("127.0.0.1:0", open),
              IsStatus(absl::StatusCode::kInvalidArgument, HasSubstr("authenticate_calls")));
}

// ---- Calls of a server, on a channel's services

class CallAuthenticationOfAChannel : public testing::Test {
 protected:
  // Lets the server call: its handler keeps the way back.
  void Connect(const std::string& server_token, bool asks = true) {
    ServerOptions options;
    options.auth_token = server_token;
    server_ = std::make_unique<TestServer>(service_, std::move(options));
    ChannelOptions of_channel;
    of_channel.services = {&own_};
    if (asks) of_channel.authenticator = keeper_.Authenticate();
    channel_ = server_->Connect(std::move(of_channel));
    // Number 1 makes the handler keep the way back to its caller.
    ASSERT_EQ(IdentityOf(*channel_, {.timeout = kForever}, /*number=*/1), "");
    ASSERT_NE(service_.back, nullptr);
  }
  std::string CallBack(const std::string& authorization = "") {
    if (authorization.empty()) return IdentityOf(*service_.back, {.timeout = kForever});
    With with(authorization);
    return IdentityOf(*service_.back, with.options());
  }

  CallKeeper keeper_;
  Naming service_, own_;
  std::unique_ptr<TestServer> server_;
  std::unique_ptr<Channel> channel_;
};

TEST_F(CallAuthenticationOfAChannel, GoesByTheTokenOfTheServersHelloOrOfTheCall) {
  Connect("of the server");
  EXPECT_EQ(CallBack(), "caller of the server");
  EXPECT_EQ(CallBack("Bearer mine"), "caller mine");
  EXPECT_THAT(CallBack("bad"), HasSubstr("who are you?"));
}

TEST_F(CallAuthenticationOfAChannel, RefusesTheServersCallsAndNotItsOwn) {
  Connect("bad");
  EXPECT_THAT(CallBack(), AllOf(HasSubstr("UNAUTHENTICATED"), HasSubstr("not authenticated")));
  EXPECT_EQ(own_.entered, 0);
  EXPECT_EQ(IdentityOf(*channel_, {.timeout = kForever}), "");
  EXPECT_EQ(CallBack("good"), "caller good");
}

TEST_F(CallAuthenticationOfAChannel, IsNotThereWithoutAnAuthenticator) {
  Connect("bad", /*asks=*/false);
  EXPECT_EQ(CallBack(), "");
}

TEST_F(CallAuthenticationOfAChannel, HoldsUpNothingElseAndIsWaitedForByTheChannelsEnd) {
  Connect("slow");
  EchoResult result;
  EchoService::Stub(*service_.back).EchoAsync(RequestOf(""), {.timeout = kForever}, Into(result));
  ASSERT_TRUE(keeper_.AskedFor(1));
  EXPECT_EQ(IdentityOf(*channel_, {.timeout = kForever}), "");
  std::thread closer([&] { channel_.reset(); });
  // The connection ends the server's call at once. The destructor itself waits for the
  // authenticator, which still runs.
  EXPECT_THAT(result.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  keeper_.open.Notify();
  closer.join();
  EXPECT_EQ(own_.entered, 0);
}

}  // namespace
}  // namespace weft::test
