// Compressed messages that ask for too much are refused by the side that gets them, on every way
// that a message can take.
#include <memory>
#include <string>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// So many zeros come to a thousandth with gzip, to less with zstd: over the default max_ratio.
constexpr size_t kBomb = size_t{8} << 20;
constexpr Compression kCodecs[] = {Compression::kGzip, Compression::kZstd};

EchoRequest Zeros(size_t size) {
  EchoRequest request;
  request.set_payload(std::string(size, '\0'));
  return request;
}

testing::Matcher<std::string> TooDense(const char* side) {
  return AllOf(HasSubstr("times as many"),
               HasSubstr(absl::StrCat("inflate.max_ratio of the ", side)));
}

TEST(Inflate, ARequestThatIsABombDoesNotReachItsHandler) {
  HookedEcho service;
  TestServer server(service);
  const auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  for (const Compression codec : kCodecs) {
    EXPECT_THAT(stub.Echo(Zeros(kBomb), {.compression = codec}).status(),
                IsStatus(absl::StatusCode::kResourceExhausted, TooDense("server")));
  }
  EXPECT_EQ(service.entered.load(), 0);
  for (const Compression codec : kCodecs) {
    // Below min_ratio_bytes (1 MiB), where the ratio does not count.
    EXPECT_TRUE(stub.Echo(Zeros(1'000'000), {.compression = codec}).ok());
  }
}

TEST(Inflate, AReplyThatIsABombEndsItsCall) {
  for (const Compression codec : kCodecs) {
    HookedEcho service;
    TestServer server(service, {.compression = codec});
    const auto channel = server.Connect();
    EXPECT_THAT(EchoService::Stub(*channel).Echo(Zeros(kBomb)).status(),
                IsStatus(absl::StatusCode::kResourceExhausted, TooDense("channel")));
    const auto other = server.Connect({.limits = {.inflate = {.max_ratio = 0}}});
    EXPECT_TRUE(EchoService::Stub(*other).Echo(Zeros(kBomb)).ok());
  }
}

TEST(Inflate, ACodecThatASideDoesNotTakeIsNotUsed) {
  HookedEcho service;
  TestServer server(service, {.limits = {.inflate = {.gzip = false, .zstd = false}},
                              .compression = Compression::kZstd});
  const auto channel = server.Connect({.limits = {.inflate = {.zstd = false}}});
  for (const Compression codec : kCodecs) {
    // The server takes no codec, and the channel not the server's: all travels as it is.
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(Zeros(kBomb), {.compression = codec}).ok());
  }
}

TEST(Inflate, ADenseMessageIsTakenWhereTheSettingsSaySo) {
  HookedEcho service;
  TestServer server(service, {.limits = {.inflate = {.min_ratio_bytes = 2 * kBomb}}});
  const auto channel = server.Connect();
  for (const Compression codec : kCodecs) {
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(Zeros(kBomb), {.compression = codec}).ok());
  }
}

TEST(Inflate, MoreThanMayBeInflatedAtOnceIsRefused) {
  HookedEcho service;
  TestServer server(service, {.limits = {.inflate = {.max_inflating_bytes = 100'000}}});
  const auto channel = server.Connect();
  for (const Compression codec : kCodecs) {
    EXPECT_THAT(EchoService::Stub(*channel).Echo(Zeros(200'000), {.compression = codec}).status(),
                IsStatus(absl::StatusCode::kResourceExhausted,
                         HasSubstr("the limit is 100000 (inflate.max_inflating_bytes of the "
                                   "server)")));
    EXPECT_TRUE(EchoService::Stub(*channel).Echo(Zeros(50'000), {.compression = codec}).ok());
  }
}

// Sends back each row as large as its number says, compressed.
class LargeRows : public Rows::Service {
 public:
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    call.set_compression(Compression::kZstd);
    Row row;
    while (stream.Read(&row)) {
      row.set_data(std::string(static_cast<size_t>(row.number()), '\0'));
      if (!stream.Write(row)) break;
    }
    return absl::OkStatus();
  }
};

TEST(Inflate, AStreamsMessageThatIsABombEndsItsCall) {
  LargeRows service;
  TestServer server(service);
  const auto channel = server.Connect();
  for (const Compression codec : kCodecs) {
    auto talk = Rows::Stub(*channel).Talk({.compression = codec});
    Row row;
    row.set_data(std::string(kBomb, '\0'));
    Row back;
    // True or false: the message may be refused while it is written, or after.
    if (talk.Write(row)) {
      EXPECT_FALSE(talk.Read(&back));
    }
    EXPECT_THAT(talk.Finish(), IsStatus(absl::StatusCode::kResourceExhausted, TooDense("server")));
  }
  auto talk = Rows::Stub(*channel).Talk();
  Row row, back;
  row.set_number(1'000'000);
  ASSERT_TRUE(talk.Write(row));
  ASSERT_TRUE(talk.Read(&back));
  EXPECT_EQ(back.data().size(), 1'000'000u);
  row.set_number(static_cast<int64_t>(kBomb));
  ASSERT_TRUE(talk.Write(row));
  EXPECT_FALSE(talk.Read(&back));
  EXPECT_THAT(talk.Finish(), IsStatus(absl::StatusCode::kResourceExhausted, TooDense("channel")));
}

}  // namespace
}  // namespace weft::test
