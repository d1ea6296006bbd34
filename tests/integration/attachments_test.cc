// Raw bytes beside messages, and messages that travel compressed.
#include <atomic>
#include <string>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"

namespace weft::test {
namespace {

using testing::HasSubstr;

// Sends back what came beside the request.
class Attaching : public EchoService::Service {
 public:
  absl::Status Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    FillEcho(request, &reply);
    call.reply_attachment() = call.attachment();
    return absl::OkStatus();
  }
  absl::Status EchoInline(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    call.set_compression(Compression::kZstd);
    FillEcho(request, &reply);
    return absl::OkStatus();
  }
};

class Attachments : public testing::TestWithParam<size_t> {
 protected:
  Attaching service;
  TestServer server{service};
  std::unique_ptr<Channel> channel = server.Connect();
  EchoService::Stub echo{*channel};
};

TEST_P(Attachments, ComeBackAsTheyWent) {
  const std::string bytes = Pattern(GetParam());
  ClientContext context;
  context.attachment() = absl::Cord(bytes);
  const absl::StatusOr<EchoReply> reply = echo.Echo(RequestOf("beside"), {.context = &context});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "beside");
  EXPECT_EQ(context.reply_attachment(), bytes);
}

TEST_P(Attachments, AfterTheCallerLetGoOfTheirs) {
  const std::string bytes = Pattern(GetParam());
  EchoResult result;
  ClientContext context;
  context.attachment() = absl::Cord(bytes);
  echo.EchoAsync(PayloadOf(GetParam()), {.context = &context}, Into(result));
  context.attachment().Clear();
  ASSERT_TRUE(result.Wait().ok());
  EXPECT_EQ(context.reply_attachment(), bytes);
}

TEST_P(Attachments, BesideCompressedMessages) {
  ClientContext context;
  const std::string bytes = Pattern(GetParam(), 2);
  context.attachment() = absl::Cord(bytes);
  EchoRequest request;
  request.set_payload(std::string(100'000, 'x'));
  for (const Compression codec : {Compression::kGzip, Compression::kZstd}) {
    const absl::StatusOr<EchoReply> reply =
        echo.Echo(request, {.context = &context, .compression = codec});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->payload(), request.payload());
    EXPECT_EQ(context.reply_attachment(), bytes);
  }
}
INSTANTIATE_TEST_SUITE_P(Sizes, Attachments,
                         testing::Values(size_t{1}, size_t{200}, size_t{5'000}, size_t{70'000},
                                         size_t{3'000'000}));

// Fails the first two calls.
class AttachingAtLast final : public Attaching {
 public:
  absl::Status Echo(ServerContext& call, EchoRequest& request, EchoReply& reply) override {
    if (calls.fetch_add(1) < 2) return absl::UnavailableError("not now");
    return Attaching::Echo(call, request, reply);
  }
  std::atomic<int> calls{0};
};

TEST(AttachmentsOfRetries, GoWithEveryAttempt) {
  AttachingAtLast service;
  TestServer server{service};
  ChannelOptions options;
  options.retry.attempts = 3;
  options.retry.backoff = options.retry.backoff_most = absl::Milliseconds(1);
  const auto channel = server.Connect(options);
  EchoService::Stub echo(*channel);
  const std::string bytes = Pattern(70'000);
  ClientContext context;
  context.attachment() = absl::Cord(bytes);
  const absl::StatusOr<EchoReply> reply =
      echo.Echo(RequestOf("beside"), {.context = &context, .idempotent = true});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(context.attempts(), 3);
  EXPECT_EQ(context.reply_attachment(), bytes);
}

class CompressedCalls : public testing::Test {
 protected:
  Attaching service;
  TestServer server{service};
  EchoRequest request = [] {
    EchoRequest r;
    r.set_payload(std::string(1'000'000, 'y'));
    return r;
  }();
};

TEST_F(CompressedCalls, ChannelAndHandlerChoose) {
  ChannelOptions options;
  options.compression = Compression::kGzip;
  const auto channel = server.Connect(std::move(options));
  const absl::StatusOr<EchoReply> reply = EchoService::Stub(*channel).EchoInline(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->payload(), request.payload());
}

TEST_F(CompressedCalls, BombIsRefused) {
  ServerOptions small;
  small.limits.max_message_bytes = 100'000;
  TestServer strict{service, std::move(small)};
  const auto channel = strict.Connect();
  // 10 MB that travel as a few KB: what they would become is over the server's limit.
  EchoRequest bomb;
  bomb.set_payload(std::string(10'000'000, 'z'));
  const absl::Status s =
      EchoService::Stub(*channel).Echo(bomb, {.compression = Compression::kZstd}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(s)) << s;
  EXPECT_THAT(std::string(s.message()), HasSubstr("max_message_bytes of the server"));
  EXPECT_TRUE(EchoService::Stub(*channel).Echo(RequestOf("still here")).ok());
}

class CompressedRows : public Rows::Service {
 public:
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    call.set_compression(Compression::kGzip);
    Row row;
    while (stream.Read(&row)) {
      if (!stream.Write(row)) break;
    }
    return absl::OkStatus();
  }
};

TEST(CompressedStreams, TravelBothWays) {
  CompressedRows service;
  TestServer server{service};
  const auto channel = server.Connect();
  auto talk = Rows::Stub(*channel).Talk({.compression = Compression::kZstd});
  Row row;
  row.set_data(std::string(300'000, 'q'));
  for (int i = 0; i < 20; ++i) {
    row.set_number(i);
    Row back;
    ASSERT_TRUE(talk.Write(row));
    ASSERT_TRUE(talk.Read(&back));
    EXPECT_EQ(back.data(), row.data());
    EXPECT_EQ(back.number(), i);
  }
  EXPECT_TRUE(talk.Finish().ok());
}

}  // namespace
}  // namespace weft::test
