// Raw bytes beside messages, and messages that travel compressed: over TCP, with single calls and
// with streams.
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
  // The first call waits for its connection, so its request may not be written yet: the call has to
  // hold the attachment by a reference of its own.
  context.attachment().Clear();
  ASSERT_TRUE(result.Wait().ok());
  EXPECT_EQ(context.reply_attachment(), bytes);
}

TEST_P(Attachments, BesideCompressedMessages) {
  ClientContext context;
  const std::string bytes = Pattern(GetParam(), 2);
  context.attachment() = absl::Cord(bytes);
  EchoRequest request;
  // Far over kCompressFrom (1 KiB), below which a message travels as it is.
  request.set_payload(std::string(100'000, 'x'));
  for (const Compression codec : {Compression::kGzip, Compression::kZstd}) {
    const absl::StatusOr<EchoReply> reply =
        echo.Echo(request, {.context = &context, .compression = codec});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->payload(), request.payload());
    EXPECT_EQ(context.reply_attachment(), bytes);
  }
}
// The largest of one frame is 64 KiB: the last two sizes travel in pieces.
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
  options.retry.backoff = options.retry.max_backoff = absl::Milliseconds(1);
  const auto channel = server.Connect(options);
  EchoService::Stub echo(*channel);
  // More than a frame. Each attempt writes it anew, so the first one must not give it away.
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
  // The request travels as gzip, the reply as zstd: each side has its own choice.
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

// Each row and what came beside it comes back; the sum's number of bytes is that of all
// attachments.
class AttachingRows : public Rows::Service {
 public:
  absl::Status Add(ServerContext&, ServerReader<Row>& rows, RowSum& sum) override {
    Row row;
    absl::Cord beside;
    while (rows.Read(&row, &beside)) {
      sum.set_rows(sum.rows() + 1);
      sum.set_bytes(sum.bytes() + static_cast<int64_t>(beside.size()));
    }
    return absl::OkStatus();
  }
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    call.set_compression(Compression::kZstd);
    Row row;
    absl::Cord beside;
    while (stream.Read(&row, &beside)) {
      if (!stream.Write(row, beside)) break;
    }
    return absl::OkStatus();
  }
};

class CoroutineAttachingRows : public Rows::CoroService {
 public:
  Coro<absl::Status> Talk(ServerContext&, ServerStream<Row, Row>& stream) override {
    Row row;
    absl::Cord beside;
    while (co_await stream.ReadCoro(&row, &beside)) {
      if (!co_await stream.WriteCoro(row, beside)) break;
    }
    co_return absl::OkStatus();
  }
};

class StreamAttachments : public testing::TestWithParam<size_t> {
 protected:
  static Row RowOf(int64_t number, size_t bytes) {
    Row row;
    row.set_number(number);
    row.set_data(Pattern(bytes, 7));
    return row;
  }
  void EchoThrough(Service& service, const CallOptions& options) {
    TestServer server{service};
    const auto channel = server.Connect();
    auto talk = Rows::Stub(*channel).Talk(options);
    for (int64_t i = 0; i < 8; ++i) {
      // Large and small messages beside large and small attachments, and beside none.
      const Row row = RowOf(i, i % 2 == 0 ? 10 : 100'000);
      const std::string bytes = i % 4 == 3 ? "" : Pattern(GetParam(), static_cast<uint64_t>(i) + 1);
      ASSERT_TRUE(talk.Write(row, absl::Cord(bytes)));
      Row back;
      // Read has to replace what the cord holds, also where nothing came beside the message.
      absl::Cord beside("from the message before");
      ASSERT_TRUE(talk.Read(&back, &beside));
      EXPECT_EQ(back.number(), i);
      EXPECT_EQ(back.data(), row.data());
      EXPECT_EQ(beside, bytes);
    }
    EXPECT_TRUE(talk.Finish().ok());
  }
};

TEST_P(StreamAttachments, GoBothWays) {
  AttachingRows service;
  EchoThrough(service, {});
}

TEST_P(StreamAttachments, GoThroughCoroutines) {
  CoroutineAttachingRows service;
  EchoThrough(service, {});
}

TEST_P(StreamAttachments, BesideCompressedMessages) {
  AttachingRows service;
  EchoThrough(service, {.compression = Compression::kGzip});
}

TEST_P(StreamAttachments, ByCallbacks) {
  AttachingRows service;
  TestServer server{service};
  const auto channel = server.Connect();
  auto talk = Rows::Stub(*channel).Talk();
  const std::string bytes = Pattern(GetParam());
  // TryWrite may be too early: without a connection there is no credit yet. Write waits for it.
  ASSERT_TRUE(talk.TryWrite(RowOf(1, 10), absl::Cord(bytes)) ||
              talk.Write(RowOf(1, 10), absl::Cord(bytes)));
  Row back;
  absl::Cord beside;
  Awaited<bool> read;
  talk.ReadAsync(&back, &beside, [&](bool more) { read.Add(more); });
  EXPECT_TRUE(read.Wait());
  EXPECT_EQ(beside, bytes);
  EXPECT_TRUE(talk.Finish().ok());
}

TEST_P(StreamAttachments, AreHeldBackByCredit) {
  AttachingRows service;
  ServerOptions options;
  // Attachments count against the window. Of the three larger sizes 20 rows are more than that, so
  // the writer has to wait for credit that reading gives back.
  options.limits.stream_window_bytes = 64 << 10;
  TestServer server{service, options};
  const auto channel = server.Connect();
  auto adding = Rows::Stub(*channel).Add({.timeout = absl::InfiniteDuration()});
  const absl::Cord bytes(Pattern(GetParam()));
  constexpr int64_t kRows = 20;
  for (int64_t i = 0; i < kRows; ++i) ASSERT_TRUE(adding.Write(RowOf(i, 10), bytes));
  const absl::StatusOr<RowSum> sum = adding.Finish();
  ASSERT_TRUE(sum.ok()) << sum.status();
  EXPECT_EQ(sum->rows(), kRows);
  EXPECT_EQ(sum->bytes(), kRows * static_cast<int64_t>(bytes.size()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, StreamAttachments,
                         testing::Values(size_t{1}, size_t{200}, size_t{5'000}, size_t{70'000},
                                         size_t{3'000'000}));

// Where nobody asks for it the attachment is dropped, and its credit comes back. 30 of them are
// eight times the default window of 256 KiB: without the credit the eighth write or so would wait
// for ever.
TEST(StreamAttachmentsThatNobodyReads, CostNothing) {
  CompressedRows service;
  TestServer server{service};
  const auto channel = server.Connect();
  auto talk = Rows::Stub(*channel).Talk();
  const absl::Cord bytes(Pattern(70'000));
  for (int64_t i = 0; i < 30; ++i) {
    Row row, back;
    row.set_number(i);
    ASSERT_TRUE(talk.Write(row, bytes));
    ASSERT_TRUE(talk.Read(&back));
    EXPECT_EQ(back.number(), i);
  }
  EXPECT_TRUE(talk.Finish().ok());
}

}  // namespace
}  // namespace weft::test
