// Tests what a handler sees of its call, and what the caller sees of the handler's doing.
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/manual_clock.h"
#include "weft/rpc/call/unary_call.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Values;

FailRequest FailWith(absl::StatusCode code, std::string message) {
  FailRequest request;
  request.set_code(static_cast<int32_t>(code));
  request.set_message(std::move(message));
  return request;
}

// ---- Exceptions

// A handler that throws before or after it has passed its responder on.
class ThrowingAsync : public EchoService::AsyncService {
 public:
  void Throw(ServerContext&, FailRequest& request, Responder<FailReply> responder) override {
    if (request.message() == "from inside a moved one") {
      // Unwinding destroys this responder: the call still ends with the exception's text.
      const Responder<FailReply> own = std::move(responder);
      throw std::runtime_error(request.message());
    }
    if (request.message() == "after the answer") {
      // The answer is given before the exception comes, and stays.
      responder.Finish(absl::NotFoundError("answered"));
      throw std::runtime_error(request.message());
    }
    if (request.message() == "passed on") {
      // From here on only the new holder answers. The exception must not.
      passed_on.Update([&](auto& all) { all.push_back(std::move(responder)); });
      throw std::runtime_error("the request may have gone");
    }
    if (request.message() == "caught") {
      try {
        // The responder goes while an exception passes, which never leaves the handler: the call
        // was dropped, and nothing threw.
        const Responder<FailReply> own = std::move(responder);
        throw std::runtime_error("caught");
      } catch (const std::exception&) {
      }
      return;
    }
    if (request.code() == 0) throw std::runtime_error(request.message());
    throw request.code();
  }
  Watched<std::vector<Responder<FailReply>>> passed_on;
};

template <typename T>
class Throwing : public ::testing::Test {};
using ThrowingServices = ::testing::Types<HookedEcho, ThrowingAsync, CoroutineEcho>;
TYPED_TEST_SUITE(Throwing, ThrowingServices);

TYPED_TEST(Throwing, EndsItsCallWithUnknownAndWhatItSays) {
  for (const bool run_inline : {false, true}) {
    TypeParam service;
    TestServer server(service, ServerOptions{.run_inline = run_inline});
    const auto channel = server.Connect();
    EchoService::Stub stub(*channel);
    // The first throws a std::exception, the second an int.
    for (int i = 0; i < 20; ++i) {
      EXPECT_THAT(stub.Throw(FailWith(absl::StatusCode::kOk, "no such luck")).status(),
                  IsStatus(absl::StatusCode::kUnknown,
                           AllOf(HasSubstr("weft.test.EchoService/Throw"), HasSubstr("threw"),
                                 HasSubstr("no such luck"))));
      EXPECT_THAT(stub.Throw(FailWith(absl::StatusCode::kAborted, "")).status(),
                  IsStatus(absl::StatusCode::kUnknown, HasSubstr("threw")));
    }
    // The exceptions cost their calls, and neither connection nor server.
    EXPECT_EQ(server->connections().accepted, 1);
    EXPECT_EQ(server->connections().open, 1);
  }
}

TEST(ThrowingAsyncHandler, AnswersOnceWhereverItsResponderIs) {
  ThrowingAsync service;
  TestServer server(service, ServerOptions{.worker_threads = 1});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(stub.Throw(FailWith(absl::StatusCode::kOk, "from inside a moved one")).status(),
                IsStatus(absl::StatusCode::kUnknown, HasSubstr("from inside a moved one")));
    EXPECT_THAT(stub.Throw(FailWith(absl::StatusCode::kOk, "after the answer")).status(),
                IsStatus(absl::StatusCode::kNotFound, HasSubstr("answered")));
    EXPECT_THAT(stub.Throw(FailWith(absl::StatusCode::kOk, "caught")).status(),
                IsStatus(absl::StatusCode::kInternal, HasSubstr("without an answer")));
    Awaited<absl::Status> result;
    stub.ThrowAsync(FailWith(absl::StatusCode::kOk, "passed on"), {},
                    [&](absl::StatusOr<FailReply> r) { result.Add(r.status()); });
    ASSERT_TRUE(service.passed_on.WaitFor([](const auto& all) { return all.size() == 1; }));
    service.passed_on.Update([](auto& all) {
      all[0].Finish(absl::DataLossError("later"));
      all.clear();
    });
    EXPECT_THAT(result.Wait(), HasCode(absl::StatusCode::kDataLoss));
  }
  EXPECT_EQ(server->connections().open, 1);
}

TEST(AsyncHandler, ThatDropsItsResponderEndsItsCall) {
  class Dropping : public EchoService::AsyncService {
    void Echo(ServerContext&, EchoRequest&, Responder<EchoReply>) override {}
  } service;
  TestServer server(service);
  const auto channel = server.Connect();
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x")).status(),
              IsStatus(absl::StatusCode::kInternal, HasSubstr("without an answer")));
}

// ---- Requests that cannot be served

// Methods that the server does not have, or has with another request.
constexpr UnaryMethod<EchoRequest, EchoReply> kNoMethod{
    {.service = "weft.test.EchoService",
     .name = "Nothing",
     .full_name = "weft.test.EchoService/Nothing"}};
constexpr UnaryMethod<EchoRequest, EchoReply> kNoService{
    {.service = "weft.test.Nobody", .name = "Echo", .full_name = "weft.test.Nobody/Echo"}};
// The server's request is a FailRequest.
constexpr UnaryMethod<EchoRequest, EchoReply> kDamaged{{.service = "weft.test.EchoService",
                                                        .name = "Fail",
                                                        .full_name = "weft.test.EchoService/Fail"}};

TEST(Server, NamesWhatIsThereForAnUnknownMethodOrService) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  for (int i = 0; i < 2; ++i) {  // with the name, and by number
    ClientContext context;
    EXPECT_THAT(CallBlocking(*channel, kNoMethod, RequestOf("x"), {.context = &context}).status(),
                IsStatus(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr("weft.test.EchoService/Nothing"), HasSubstr("EchoInline"),
                               HasSubstr("Hang"))));
    EXPECT_FALSE(context.may_have_been_executed());
    EXPECT_THAT(
        CallBlocking(*channel, kNoService, RequestOf("x"), {}).status(),
        IsStatus(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr("weft.test.Nobody/Echo"), HasSubstr("weft.test.EchoService"))));
  }
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("x")).ok());
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST(Server, AnswersUnimplementedForAMethodThatWasNotOverridden) {
  AnsweringEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EXPECT_THAT(EchoService::Stub(*channel).Sleep(SleepRequest()).status(),
              IsStatus(absl::StatusCode::kUnimplemented, HasSubstr("weft.test.EchoService/Sleep")));
}

TEST(Server, RefusesARequestThatCannotBeParsed) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoRequest request;
  request.set_text("\xFF\xFE");  // FailRequest's field 2: no UTF-8
  ClientContext context;
  const absl::Status status =
      CallBlocking(*channel, kDamaged, request, {.context = &context}).status();
  EXPECT_THAT(status,
              IsStatus(absl::StatusCode::kInternal, AllOf(HasSubstr("cannot parse the request"),
                                                          HasSubstr("weft.test.FailRequest"))));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(service.entered.load(), 0);
  EXPECT_EQ(server->connections().open, 1);
}

TEST(Channel, SaysWhenItCannotParseAReply) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  static constexpr UnaryMethod<EchoRequest, FailRequest> kWrong{
      {.service = "weft.test.EchoService",
       .name = "Echo",
       .full_name = "weft.test.EchoService/Echo"}};
  service.echo = [](ServerContext&, EchoRequest&, EchoReply& reply) {
    reply.set_text("\xFF\xFE");
    return absl::OkStatus();
  };
  EXPECT_THAT(CallBlocking(*channel, kWrong, RequestOf("x"), {}).status(),
              IsStatus(absl::StatusCode::kInternal, HasSubstr("cannot parse the reply")));
}

TEST(Server, ServesSeveralServicesWithMethodsOfTheSameName) {
  class Counter : public CounterService::Service {
    absl::Status Echo(ServerContext&, EchoRequest& request, EchoReply& reply) override {
      reply.set_number(sum_ += request.number());
      return absl::OkStatus();
    }
    std::atomic<int64_t> sum_{0};
  } counter;
  HookedEcho echo;
  Server server;
  ASSERT_TRUE(server.Register(echo).ok());
  ASSERT_TRUE(server.Register(counter).ok());
  ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
  const auto channel = ChannelTo(server.addresses()[0]);
  EchoRequest request;
  request.set_number(5);
  EXPECT_EQ(EchoService::Stub(*channel).Echo(request)->number(), 5);
  EXPECT_EQ(CounterService::Stub(*channel).Echo(request)->number(), 5);
  EXPECT_EQ(EchoService::Stub(*channel).Echo(request)->number(), 5);
  EXPECT_EQ(CounterService::Stub(*channel).Echo(request)->number(), 10);
}

// ---- Status

TEST(Status, ComesWithCodeMessageAndDetails) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // The text is gRPC's interop test "special_status_message".
  for (int code = 1; code <= 16; ++code) {
    const FailRequest request =
        FailWith(static_cast<absl::StatusCode>(code),
                 "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n");
    const absl::Status status = stub.Fail(request).status();
    EXPECT_THAT(status,
                IsStatus(static_cast<absl::StatusCode>(code), HasSubstr(request.message())));
    const auto details = status.GetPayload("type.googleapis.com/weft.test.FailRequest");
    ASSERT_TRUE(details.has_value());
    EXPECT_EQ(std::string(*details), request.SerializeAsString());
  }
  EXPECT_TRUE(stub.Fail(FailWith(absl::StatusCode::kOk, "")).ok());
}

TEST(Status, IsCutToWhatAFrameHoldsAndEndsTheCallAllTheSame) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // Far more than one frame, which an error has to fit into.
  EXPECT_THAT(stub.Fail(FailWith(absl::StatusCode::kAborted, std::string(1'000'000, 'x'))).status(),
              IsStatus(absl::StatusCode::kAborted, HasSubstr("xxxx")));
  EXPECT_TRUE(stub.Echo(RequestOf("after")).ok());
  EXPECT_EQ(server->connections().accepted, 1);
}

// ---- Metadata

TEST(MetadataAndTrailers, GoBothWays) {
  HookedEcho service;
  // A key that ends in -bin takes any bytes, zeros among them.
  const std::string bytes("\0\x01\xff\xab", 4);
  service.echo = [&](ServerContext& call, EchoRequest&, EchoReply& reply) {
    for (const auto& [key, value] : call.metadata().entries()) {
      reply.add_words(absl::StrCat(key, "=", absl::CHexEscape(value)));
      EXPECT_EQ(call.trailers().Add(absl::StrCat("re-", key), value), absl::OkStatus());
    }
    return absl::OkStatus();
  };
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // Objects of earlier calls are used again: nothing of those calls may be left in them.
  for (int i = 0; i < 3; ++i) {
    ClientContext context;
    ASSERT_TRUE(context.metadata().Add("tenant", "blue").ok());
    ASSERT_TRUE(context.metadata().Add("trace-bin", bytes).ok());
    ASSERT_TRUE(context.metadata().Add("tenant", "green").ok());
    ASSERT_TRUE(context.metadata().Add("empty", "").ok());
    const auto reply = stub.Echo(RequestOf("x"), {.context = &context});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_THAT(reply->words(),
                ElementsAre("tenant=blue", absl::StrCat("trace-bin=", absl::CHexEscape(bytes)),
                            "tenant=green", "empty="));
    EXPECT_THAT(context.trailers().GetAll("re-tenant"), ElementsAre("blue", "green"));
    EXPECT_EQ(context.trailers().Get("re-trace-bin"), bytes);
    // A call without metadata has none left over from this one.
    EXPECT_EQ(stub.Echo(RequestOf("y"))->words_size(), 0);
  }
}

TEST(MetadataAndTrailers, GoWithLargeMessagesAndWithErrors) {
  HookedEcho service;
  service.echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    EXPECT_EQ(call.metadata().Get("key"), "value");
    EXPECT_EQ(call.trailers().Add("trailer", "there"), absl::OkStatus());
    if (request.payload().empty()) return absl::AbortedError("an error");
    reply.set_payload(request.payload());
    return absl::OkStatus();
  };
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // An error, and a message in pieces: trailers go with either.
  for (const size_t size : {size_t{0}, size_t{1} << 20}) {
    ClientContext context;
    ASSERT_TRUE(context.metadata().Add("key", "value").ok());
    const auto reply = stub.Echo(PayloadOf(size), {.context = &context});
    EXPECT_EQ(reply.ok(), size > 0) << reply.status();
    EXPECT_EQ(context.trailers().Get("trailer"), "there");
  }
}

TEST(MetadataAndTrailers, OverTheLimitIsRefusedWithBothNumbers) {
  HookedEcho service;
  service.echo = [&](ServerContext& call, EchoRequest& request, EchoReply&) {
    if (request.number() == 1) {
      EXPECT_TRUE(call.trailers().Add("much", std::string(20'000, 'x')).ok());
    }
    return absl::OkStatus();
  };
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  // Connected first: the peer's limit is known, so the call is refused before it is sent.
  ASSERT_TRUE(stub.Echo(RequestOf("connects")).ok());
  const int64_t before = service.entered.load();
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("much", std::string(20'000, 'x')).ok());
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("16384"), HasSubstr("max_metadata_bytes"))));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(service.entered.load(), before);
  EchoRequest request;
  request.set_number(1);
  EXPECT_THAT(stub.Echo(request).status(),
              IsStatus(absl::StatusCode::kResourceExhausted, HasSubstr("max_metadata_bytes")));
  EXPECT_EQ(server->connections().accepted, 1);
}

TEST(MetadataAndTrailers, OverTheLimitWhileConnectingIsRefusedToo) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  // The server's limit is not known yet: the call is refused when its Hello is there.
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("much", std::string(20'000, 'x')).ok());
  EXPECT_THAT(EchoService::Stub(*channel).Echo(RequestOf("x"), {.context = &context}).status(),
              HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(service.entered.load(), 0);
}

// ---- ServerContext

class Context : public ::testing::TestWithParam<Family> {};

TEST_P(Context, SaysPeerMethodAndTime) {
  HookedEcho service;
  service.echo = [&](ServerContext& call, EchoRequest& request, EchoReply& reply) {
    EXPECT_EQ(call.method(), "weft.test.EchoService/Echo");
    EXPECT_EQ(call.identity(), "");
    EXPECT_FALSE(call.cancelled());
    if (request.number() == 0) {
      EXPECT_EQ(call.deadline(), absl::InfiniteFuture());
      EXPECT_EQ(call.time_left(), absl::InfiniteDuration());
    } else {
      EXPECT_GT(call.time_left(), absl::ZeroDuration());
      EXPECT_LE(call.time_left(), absl::Hours(1));
      EXPECT_GT(call.deadline(), absl::Now());
      EXPECT_LE(call.deadline(), absl::Now() + absl::Hours(1));
    }
    reply.set_text(call.peer());
    return absl::OkStatus();
  };
  TestServer server(service, GetParam());
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  const auto reply = stub.Echo(EchoRequest(), {.timeout = absl::InfiniteDuration()});
  ASSERT_TRUE(reply.ok()) << reply.status();
  switch (GetParam()) {
    case Family::kTcp4:
      EXPECT_THAT(reply->text(), ::testing::StartsWith("127.0.0.1:"));
      break;
    case Family::kTcp6:
      EXPECT_THAT(reply->text(), ::testing::StartsWith("[::1]:"));
      break;
    case Family::kUnix:
      EXPECT_THAT(reply->text(), ::testing::StartsWith("unix:"));
      break;
  }
  EchoRequest request;
  request.set_number(1);
  EXPECT_TRUE(stub.Echo(request, {.timeout = absl::Hours(1)}).ok());
}

INSTANTIATE_TEST_SUITE_P(Families, Context, Values(Family::kTcp4, Family::kTcp6, Family::kUnix),
                         [](const auto& p) { return NameOf(p.param); });

TEST(HandlerTime, IsToldToTheCaller) {
  HookedEcho service;
  ManualClock clock;
  TestServer server(service, ServerOptions{.runtime = RuntimeOf({.clock = &clock})});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  ClientContext context;
  // The handler's time is the clock's, and moves only here.
  service.in_sleep = [&clock](ServerContext&) { clock.Advance(absl::Milliseconds(20)); };
  ASSERT_TRUE(stub.Sleep(SleepRequest(), {.context = &context}).ok());
  EXPECT_EQ(context.handler_time(), absl::Milliseconds(20));
  EXPECT_TRUE(context.may_have_been_executed());
}

TEST(Handlers, RunOnTheLoopOnlyWhenInline) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EXPECT_FALSE(stub.Where(WhereRequest())->on_loop());
  EXPECT_TRUE(stub.WhereInline(WhereRequest())->on_loop());
  HookedEcho other;
  TestServer all_inline(other, ServerOptions{.run_inline = true});
  const auto other_channel = all_inline.Connect();
  EXPECT_TRUE(EchoService::Stub(*other_channel).Where(WhereRequest())->on_loop());
}

TEST(Handlers, ASlowOneHoldsUpNobodyElse) {
  HookedEcho service;
  TestServer server(service, ServerOptions{.worker_threads = 2});
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EchoResult hung;
  stub.HangAsync(RequestOf("slow"), {.timeout = absl::InfiniteDuration()}, Into(hung));
  ASSERT_TRUE(service.hanging.WaitForValue(1));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(stub.Echo(RequestOf("fast")).ok());
  // One of two workers hangs all the while; the other one has served all hundred.
  EXPECT_EQ(hung.count(), 0u);
  service.release.Notify();
  EXPECT_TRUE(hung.Wait().ok());
}

// ---- Styles by method

class MixedRows final : public Rows::MixedService<MixedRows> {
 public:
  // noexcept is a part of the function's type, by which its style is known.
  absl::Status Get(ServerContext&, RowQuery& query, Row& row) noexcept {
    row.set_number(query.rows());
    return absl::OkStatus();
  }
  Coro<absl::Status> Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) {
    Row row;
    while (co_await rows.ReadCoro(&row)) sum.set_rows(sum.rows() + 1);
    co_return absl::OkStatus();
  }
  absl::Status List(ServerContext&, RowQuery&, ServerWriter<Row>& rows) {
    return rows.Write(Row()) ? absl::OkStatus() : absl::CancelledError("");
  }
  void Talk(ServerContext&, AsyncServerStream<Row, Row> stream) {
    stream.Finish(absl::AbortedError("later"));
  }
};

class OtherwiseMixedRows final : public Rows::MixedService<OtherwiseMixedRows> {
 public:
  void Get(ServerContext&, RowQuery&, Responder<Row> responder) {
    responder.reply().set_number(5);
    responder.Finish();
  }
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) {
    Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  Coro<absl::Status> List(ServerContext&, RowQuery&, ServerWriter<Row>& rows) {
    co_return co_await rows.WriteCoro(Row()) ? absl::OkStatus() : absl::CancelledError("");
  }
  Coro<absl::Status> Talk(ServerContext&, ServerStream<Row, Row>&) {
    co_return absl::AbortedError("later");
  }
};

template <typename T>
class Mixed : public ::testing::Test {};
using MixedServices = ::testing::Types<MixedRows, OtherwiseMixedRows>;
TYPED_TEST_SUITE(Mixed, MixedServices);

TYPED_TEST(Mixed, ServesEachMethodInTheStyleOfItsHandler) {
  TypeParam service;
  TestServer server(service);
  const auto channel = server.Connect();
  Rows::Stub stub(*channel);
  RowQuery query;
  query.set_rows(5);
  const absl::StatusOr<Row> got = stub.Get(query);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->number(), 5);

  auto adding = stub.Add();
  EXPECT_TRUE(adding.Write(Row()) && adding.Write(Row()));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), 2);

  auto listing = stub.List(query);
  Row row;
  EXPECT_TRUE(listing.Read(&row));
  EXPECT_FALSE(listing.Read(&row));
  EXPECT_EQ(listing.Finish(), absl::OkStatus());
  EXPECT_THAT(stub.Talk().Finish(), IsStatus(absl::StatusCode::kAborted, HasSubstr("later")));
}

// Only a handler that waits is kept from the I/O thread; it is the handler's style that says so.
TEST(Mixed, KnowsWhichHandlersWait) {
  const MixedRows one;
  const OtherwiseMixedRows other;
  std::vector<bool> waits;
  for (const ServiceMethod& method : one.methods()) waits.push_back(method.waits);
  for (const ServiceMethod& method : other.methods()) waits.push_back(method.waits);
  EXPECT_THAT(waits, ElementsAre(false, false, true, false, false, true, false, false));
  EXPECT_EQ(one.full_name(), "weft.test.Rows");
}

}  // namespace
}  // namespace weft::test
