// Messages of proto2 that lack a required field: the error names it, at the sender where it can.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/members.h"
#include "tests/integration/stack.h"
#include "tests/protos/proto2.weft.h"
#include "weft/core/block_on.h"
#include "weft/rpc/broadcast.h"

namespace weft::test {

using namespace internal;

namespace {

using absl::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Proto2Request Whole() {
  Proto2Request request;
  request.set_number(1);
  return request;
}

// Lacks a field of its own, and one of the message inside it.
Proto2Request Lacking() {
  Proto2Request request;
  request.mutable_example()->set_text("has no number");
  return request;
}

constexpr char kRequestFields[] = "weft.test.Proto2Request: number, example.number";
constexpr char kReplyFields[] = "weft.test.Proto2Reply: number";

auto RefusesRequest() {
  return IsStatus(
      StatusCode::kInvalidArgument,
      AllOf(HasSubstr("the request lacks required fields of "), HasSubstr(kRequestFields)));
}

auto RefusesReply() {
  return IsStatus(
      StatusCode::kInternal,
      AllOf(HasSubstr("the handler's reply lacks required fields of "), HasSubstr(kReplyFields)));
}

// Answers as `complete` says; counts the handlers that were entered.
class Answering final : public Proto2Service::Service {
 public:
  bool complete = true;
  std::atomic<int> entered{0};
  std::atomic<int> read{0};

  absl::Status Run(ServerContext&, Proto2Request&, Proto2Reply& reply) override {
    entered.fetch_add(1);
    return End(&reply);
  }
  absl::Status Take(ServerContext&, ServerReader<Proto2Request>& requests,
                    Proto2Reply& reply) override {
    Proto2Request request;
    while (requests.Read(&request)) read.fetch_add(1);
    return End(&reply);
  }
  absl::Status Give(ServerContext&, Proto2Request&, ServerWriter<Proto2Reply>& replies) override {
    entered.fetch_add(1);
    Proto2Reply reply;
    reply.set_number(1);
    EXPECT_TRUE(replies.Write(reply));
    // The second reply lacks its field, so its write has to fail.
    reply.clear_number();
    EXPECT_EQ(replies.Write(reply), complete);
    return absl::OkStatus();
  }

 private:
  absl::Status End(Proto2Reply* reply) const {
    if (complete) reply->set_number(1);
    return absl::OkStatus();
  }
};

class RunningCoro final : public Proto2Service::CoroService {
  Coro<absl::Status> Run(ServerContext&, Proto2Request&, Proto2Reply&) override {
    co_return absl::OkStatus();
  }
};

class RunningLater final : public Proto2Service::AsyncService {
  void Run(ServerContext&, Proto2Request&, Responder<Proto2Reply> responder) override {
    std::move(responder).Finish(absl::OkStatus());
  }
};

Coro<absl::Status> RunCoro(Proto2Service::Stub& stub, Proto2Request request) {
  co_return (co_await stub.RunCoro(request)).status();
}

class RequiredFields : public testing::Test {
 protected:
  // One call in each style.
  std::vector<absl::Status> RunAll(const Proto2Request& request) {
    std::vector<absl::Status> ends = {stub_.Run(request).status()};
    Awaited<absl::Status> later;
    stub_.RunAsync(request, {},
                   [&later](absl::StatusOr<Proto2Reply> r) { later.Add(std::move(r).status()); });
    ends.push_back(later.Wait());
    ends.push_back(BlockOn(RunCoro(stub_, request)));
    return ends;
  }

  Answering service_;
  TestServer server_{service_};
  std::unique_ptr<Channel> channel_ = server_.Connect();
  Proto2Service::Stub stub_{*channel_};
};

TEST_F(RequiredFields, ARequestIsRefusedBeforeItIsSentInEachStyle) {
  for (const absl::Status& end : RunAll(Lacking())) EXPECT_THAT(end, RefusesRequest());
  EXPECT_EQ(service_.entered.load(), 0);
  for (const absl::Status& end : RunAll(Whole())) EXPECT_EQ(end, absl::OkStatus());
  EXPECT_EQ(service_.entered.load(), 3);
}

TEST_F(RequiredFields, ARequestWithAttemptsIsRefusedOnce) {
  ClientContext context;
  EXPECT_THAT(stub_.Run(Lacking(), {.context = &context, .max_attempts = 3}).status(),
              RefusesRequest());
  EXPECT_FALSE(context.may_have_been_executed());
}

TEST_F(RequiredFields, AHandlersReplyIsRefusedAtTheServer) {
  service_.complete = false;
  for (const absl::Status& end : RunAll(Whole())) EXPECT_THAT(end, RefusesReply());
  RunningCoro coro;
  RunningLater later;
  for (Service* service : {static_cast<Service*>(&coro), static_cast<Service*>(&later)}) {
    TestServer server(*service);
    const auto channel = server.Connect();
    EXPECT_THAT(Proto2Service::Stub(*channel).Run(Whole()).status(), RefusesReply());
  }
}

TEST_F(RequiredFields, AWrittenMessageEndsItsStream) {
  auto taking = stub_.Take();
  ASSERT_TRUE(taking.Write(Whole()));
  EXPECT_FALSE(taking.Write(Lacking()));
  EXPECT_THAT(taking.Finish().status(),
              IsStatus(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("a stream message lacks"), HasSubstr(kRequestFields))));
  // The request of a call whose client streams is no message of the caller's.
  auto nothing = stub_.Take();
  EXPECT_EQ(nothing.Finish().status(), absl::OkStatus());
}

TEST_F(RequiredFields, AStreamsRequestReplyAndMessagesAreLookedAt) {
  service_.complete = false;
  auto refused = stub_.Give(Lacking());
  EXPECT_THAT(refused.Finish(), RefusesRequest());
  EXPECT_EQ(service_.entered.load(), 0);

  auto giving = stub_.Give(Whole());
  Proto2Reply reply;
  while (giving.Read(&reply)) {
  }
  EXPECT_THAT(giving.Finish(),
              IsStatus(StatusCode::kInternal,
                       AllOf(HasSubstr("a stream message lacks"), HasSubstr(kReplyFields))));

  auto taking = stub_.Take();
  EXPECT_THAT(taking.Finish().status(), RefusesReply());
}

// The sender's .proto does not require what the receiver's does.
TEST_F(RequiredFields, AMessageThatComesWithoutThemIsNamedByItsReceiver) {
  static constexpr UnaryMethod<EchoReply, Proto2Reply> kFree{
      {.service = "weft.test.Proto2Service",
       .name = "Run",
       .full_name = "weft.test.Proto2Service/Run"}};
  ClientContext context;
  EXPECT_THAT(
      CallBlocking(*channel_, kFree, EchoReply(), {.context = &context}).status(),
      IsStatus(StatusCode::kInternal, AllOf(HasSubstr("the request lacks required fields of "),
                                            HasSubstr("weft.test.Proto2Request: number"),
                                            Not(HasSubstr("cannot parse")))));
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_EQ(service_.entered.load(), 0);

  HookedEcho echo;
  TestServer server(echo);
  const auto channel = server.Connect();
  static constexpr UnaryMethod<EchoRequest, Proto2Reply> kStrict{
      {.service = "weft.test.EchoService",
       .name = "Echo",
       .full_name = "weft.test.EchoService/Echo"}};
  for (const std::optional<Compression> codec :
       {std::optional<Compression>(), {Compression::kGzip}}) {
    // Compressible, and its text is one that both types have.
    echo.echo = [&](ServerContext& call, EchoRequest&, EchoReply& reply) {
      if (codec.has_value()) call.set_compression(*codec);
      reply.set_text(std::string(100'000, 'a'));
      return absl::OkStatus();
    };
    EXPECT_THAT(CallBlocking(*channel, kStrict, RequestOf("x"), {}).status(),
                IsStatus(StatusCode::kInternal,
                         AllOf(HasSubstr("lacks required fields of "), HasSubstr(kReplyFields))));
  }
}

TEST_F(RequiredFields, ABroadcastIsRefusedBeforeItsFirstCall) {
  Members members(3);
  const auto result = Broadcast(members, Proto2Service::kRun, Lacking(), {});
  EXPECT_THAT(result.status, RefusesRequest());
  EXPECT_THAT(std::string(result.status.message()), HasSubstr("broadcast "));
}

}  // namespace
}  // namespace weft::test
