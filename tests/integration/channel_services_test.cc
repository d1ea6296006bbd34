// Interceptors, and the limit of calls under way, apply to the calls that a channel serves as they
// do to a server's.
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/rpc/call/interceptor.h"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Row RowOf(int64_t number) {
  Row row;
  row.set_number(number);
  return row;
}

class OwnRows : public Rows::Service {
 public:
  absl::Status Get(ServerContext& call, RowQuery& query, Row& row) override {
    row.set_number(query.rows());
    row.set_text(std::string(call.metadata().Get("by-interceptor").value_or("")));
    return absl::OkStatus();
  }
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  absl::Status List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!rows.Write(RowOf(i))) break;
    }
    return absl::OkStatus();
  }
  absl::Status Talk(ServerContext&, ServerStream<Row, Row>& stream) override {
    Row row;
    while (stream.Read(&row)) {
      if (!stream.Write(row)) break;
    }
    return absl::OkStatus();
  }
};

// Writes down what it sees; refuses a method, and messages of a size.
class Recording final : public ServerInterceptor {
 public:
  absl::StatusOr<std::unique_ptr<Call>> Start(const ServerCallStart& start) override {
    const std::string method(start.context.method());
    Note(absl::StrCat("start ", method));
    EXPECT_EQ(start.context.identity(), "");
    if (method == refused_method) return absl::PermissionDeniedError("not this one");
    if (method == thrown_method) throw std::runtime_error("boom");
    if (absl::Status s = start.metadata.Add("by-interceptor", "1"); !s.ok()) return s;
    return std::make_unique<One>(*this);
  }

  std::vector<std::string> TakeLines() {
    std::vector<std::string> taken;
    lines.Update([&](auto& all) { taken.swap(all); });
    return taken;
  }

  std::string refused_method, thrown_method;
  size_t refused_size = SIZE_MAX;
  Watched<std::vector<std::string>> lines;

 private:
  struct One final : public Call {
    explicit One(Recording& r) : of(r) {}
    absl::Status OnMessage(MessageDirection direction, size_t bytes) override {
      of.Note(direction == MessageDirection::kSent ? "sent" : "received");
      return bytes == of.refused_size ? absl::PermissionDeniedError("not this message")
                                      : absl::OkStatus();
    }
    void OnEnd(const ServerCallEnd& end) override {
      of.Note(absl::StrCat("end ", absl::StatusCodeToString(end.status.code()), " ",
                           end.volume.received_messages, "/", end.volume.sent_messages));
    }
    Recording& of;
  };
  void Note(std::string line) {
    lines.Update([&](auto& all) { all.push_back(std::move(line)); });
  }
};

// A server that calls a channel: by the caller of a call that has been answered.
class ChannelServices : public testing::Test {
 protected:
  ChannelServices() {
    service.echo = [this](ServerContext& call, EchoRequest&, EchoReply&) {
      std::call_once(first, [&] { back = call.caller(); });  // others run beside it
      return absl::OkStatus();
    };
  }
  void Connect(ChannelOptions options) {
    options.services = {&rows, &echo};
    channel = server.Connect(std::move(options));
    ASSERT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("hello")).ok());
    ASSERT_NE(back, nullptr);
  }
  void Connect() {
    ChannelOptions options;
    options.service_interceptors = {interceptor};
    Connect(std::move(options));
  }

  HookedEcho service;
  TestServer server{service};
  OwnRows rows;
  AnsweringEcho echo;
  std::shared_ptr<Recording> interceptor = std::make_shared<Recording>();
  std::once_flag first;
  std::shared_ptr<CallTarget> back;
  std::unique_ptr<Channel> channel;
};

TEST_F(ChannelServices, InterceptorsSeeUnaryCalls) {
  Connect();
  RowQuery query;
  query.set_rows(7);
  const absl::StatusOr<Row> row = Rows::Stub(*back).Get(query);
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_EQ(row->number(), 7);
  EXPECT_EQ(row->text(), "1");  // metadata that the interceptor added
  EXPECT_THAT(interceptor->TakeLines(),
              ElementsAre("start weft.test.Rows/Get", "received", "sent", "end OK 1/1"));
}

TEST_F(ChannelServices, InterceptorsSeeStreams) {
  Connect();
  Rows::Stub stub(*back);

  auto add = stub.Add();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(add.Write(RowOf(i)));
  EXPECT_EQ(add.Finish()->rows(), 3);
  EXPECT_THAT(interceptor->TakeLines(), ElementsAre("start weft.test.Rows/Add", "received",
                                                    "received", "received", "sent", "end OK 3/1"));

  RowQuery query;
  query.set_rows(2);
  auto list = stub.List(query);
  Row row;
  while (list.Read(&row)) {
  }
  EXPECT_EQ(list.Finish(), absl::OkStatus());
  EXPECT_THAT(interceptor->TakeLines(),
              ElementsAre("start weft.test.Rows/List", "received", "sent", "sent", "end OK 1/2"));

  auto talk = stub.Talk();
  ASSERT_TRUE(talk.Write(RowOf(1)));
  ASSERT_TRUE(talk.Read(&row));
  EXPECT_EQ(talk.Finish(), absl::OkStatus());
  EXPECT_THAT(interceptor->TakeLines(),
              ElementsAre("start weft.test.Rows/Talk", "received", "sent", "end OK 1/1"));
}

TEST_F(ChannelServices, InterceptorsMayRefuseACallWhichThenWasNotExecuted) {
  interceptor->refused_method = "weft.test.Rows/Get";
  Connect();
  ClientContext context;
  EXPECT_THAT(Rows::Stub(*back).Get(RowQuery(), {.context = &context}).status(),
              IsStatus(absl::StatusCode::kPermissionDenied, HasSubstr("not this one")));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_THAT(interceptor->TakeLines(), ElementsAre("start weft.test.Rows/Get"));

  // The same of a stream.
  interceptor->refused_method = "weft.test.Rows/Talk";
  EXPECT_THAT(Rows::Stub(*back).Talk({.context = &context}).Finish(),
              IsStatus(absl::StatusCode::kPermissionDenied, HasSubstr("not this one")));
  EXPECT_FALSE(context.may_have_been_executed());
}

TEST_F(ChannelServices, InterceptorsMayRefuseAMessageOfAStream) {
  interceptor->refused_size = RowOf(300).ByteSizeLong();
  // The number 300 takes one byte more than 1: the interceptor knows the row by its size alone.
  ASSERT_NE(interceptor->refused_size, RowOf(1).ByteSizeLong());
  Connect();
  auto add = Rows::Stub(*back).Add();
  ASSERT_TRUE(add.Write(RowOf(1)));
  // True or false: the refusal comes while it is written or after.
  (void)add.Write(RowOf(300));
  EXPECT_THAT(add.Finish().status(),
              IsStatus(absl::StatusCode::kPermissionDenied, HasSubstr("not this message")));
  // The refused message counts as received.
  EXPECT_THAT(interceptor->TakeLines(), Contains("end PERMISSION_DENIED 2/0"));
}

TEST_F(ChannelServices, AnInterceptorThatThrowsIsSaidToBeTheChannels) {
  interceptor->thrown_method = "weft.test.Rows/Get";
  Connect();
  EXPECT_THAT(
      Rows::Stub(*back).Get(RowQuery()).status(),
      IsStatus(absl::StatusCode::kUnknown, HasSubstr("an interceptor of the channel threw: boom")));
}

// Service interceptors and service limits do not concern the calls that the channel itself makes.
TEST_F(ChannelServices, CallsOfTheChannelAreNoneOfTheirs) {
  interceptor->refused_method = "weft.test.EchoService/Echo";
  ChannelOptions options;
  options.service_interceptors = {interceptor};
  // Both would stop ten calls of Echo, if they counted for the channel's own.
  options.max_service_calls = 1;
  Connect(std::move(options));
  EchoResult results;
  for (int i = 0; i < 10; ++i) {
    EchoService::Stub(*channel).EchoAsync(RequestOf("x"), {}, Into(results));
  }
  for (const auto& reply : results.WaitForAll(10)) EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_THAT(interceptor->TakeLines(), ElementsAre());
}

TEST_F(ChannelServices, MoreCallsThanTheLimitAreRefusedAndNotExecuted) {
  ChannelOptions options;
  options.service_interceptors = {interceptor};
  options.max_service_calls = 2;
  Connect(std::move(options));
  EchoService::Stub stub(*back);
  EchoResult held;
  for (int i = 0; i < 2; ++i) stub.HangAsync(RequestOf("x"), {}, Into(held));
  ASSERT_TRUE(echo.hanging.WaitForValue(2));
  // Drops the lines of the calls that are held.
  (void)interceptor->TakeLines();
  const auto refused =
      IsStatus(absl::StatusCode::kResourceExhausted,
               AllOf(HasSubstr("the channel is overloaded: 2 calls are under way, the limit is 2"),
                     HasSubstr("(max_service_calls of the channel)")));
  // The limit counts calls of all services and kinds together.
  ClientContext context;
  EXPECT_THAT(stub.Echo(RequestOf("x"), {.context = &context}).status(), refused);
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_THAT(Rows::Stub(*back).Talk({.context = &context}).Finish(), refused);
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_THAT(interceptor->TakeLines(), ElementsAre());  // refused before them
  echo.Release();
  for (const auto& reply : held.WaitForAll(2)) EXPECT_TRUE(reply.ok()) << reply.status();
  // An answer may come before its place is free.
  EXPECT_TRUE(PollUntil([&] { return stub.Echo(RequestOf("after")).ok(); }));
  EXPECT_TRUE(PollUntil([&] { return Rows::Stub(*back).Talk().Finish().ok(); }));
}

}  // namespace
}  // namespace weft::test
