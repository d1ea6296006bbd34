// Initial metadata over the whole stack: all kinds of method, both directions of a connection, and
// handlers that send it at different moments.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"

namespace weft::test {

using namespace internal;

namespace {

constexpr char kBytes[] = "\0\xFF\n";
const std::string_view kAnyBytes(kBytes, 3);

void Say(ServerContext& call) {
  EXPECT_EQ(call.initial_metadata().Add("shard", "n-7"), absl::OkStatus());
  EXPECT_EQ(call.initial_metadata().Add("ids-bin", kAnyBytes), absl::OkStatus());
  EXPECT_EQ(call.initial_metadata().Add("shard", "n-8"), absl::OkStatus());
  EXPECT_EQ(call.trailers().Add("end", "1"), absl::OkStatus());
}

void ExpectSaid(const Metadata& initial) {
  EXPECT_THAT(initial.entries(),
              testing::ElementsAre(Metadata::Entry("shard", "n-7"),
                                   Metadata::Entry("ids-bin", std::string(kAnyBytes)),
                                   Metadata::Entry("shard", "n-8")));
}

// Adds the same in each method, and sends it at once, before it reads, or with the first row.
class SayingRows : public Rows::Service {
 public:
  absl::Status Get(ServerContext& call, RowQuery& query, Row&) override {
    Say(call);
    if (query.rows() > 0) {
      EXPECT_TRUE(call.SendInitialMetadata());
    }
    return absl::Status(static_cast<absl::StatusCode>(query.code()), "as asked");
  }
  // Before it reads.
  absl::Status Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) override {
    Say(call);
    EXPECT_TRUE(call.SendInitialMetadata());
    Row row;
    while (rows.Read(&row)) sum.set_rows(sum.rows() + 1);
    return absl::OkStatus();
  }
  // With the first row.
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    Say(call);
    for (int64_t i = 0; i < query.rows() && rows.Write(Row()); ++i) {
    }
    return absl::OkStatus();
  }
  // With the first row that comes back.
  absl::Status Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    Say(call);
    Row row;
    while (stream.Read(&row) && stream.Write(row)) {
    }
    return absl::OkStatus();
  }
};

class SayingCoroutineRows : public Rows::CoroService {
 public:
  Coro<absl::Status> Get(ServerContext& call, RowQuery& query, Row&) override {
    Say(call);
    if (query.rows() > 0) {
      EXPECT_TRUE(call.SendInitialMetadata());
    }
    co_return absl::Status(static_cast<absl::StatusCode>(query.code()), "as asked");
  }
  Coro<absl::Status> Add(ServerContext& call, ServerReader<Row>& rows, RowSum& sum) override {
    Say(call);
    EXPECT_TRUE(call.SendInitialMetadata());
    Row row;
    while (co_await rows.ReadCoro(&row)) sum.set_rows(sum.rows() + 1);
    co_return absl::OkStatus();
  }
  Coro<absl::Status> List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    Say(call);
    const Row row;
    for (int64_t i = 0; i < query.rows(); ++i) {
      if (!co_await rows.WriteCoro(row)) break;
    }
    co_return absl::OkStatus();
  }
  Coro<absl::Status> Talk(ServerContext& call, ServerStream<Row, Row>& stream) override {
    Say(call);
    Row row;
    while (co_await stream.ReadCoro(&row)) {
      if (!co_await stream.WriteCoro(row)) break;
    }
    co_return absl::OkStatus();
  }
};

// One call of each kind.
void ExpectSaidInAllKinds(CallTarget& target) {
  Rows::Stub stub(target);
  // 5: NOT_FOUND. Initial metadata comes before an error as well.
  for (const int code : {0, 5}) {
    for (const bool at_once : {false, true}) {
      ClientContext context;
      RowQuery query;
      query.set_code(code);
      query.set_rows(at_once);
      EXPECT_EQ(static_cast<int>(stub.Get(query, {.context = &context}).status().code()), code);
      ExpectSaid(context.initial_metadata());
      EXPECT_EQ(context.trailers().Get("end"), "1");
      EXPECT_EQ(context.trailers().entries().size(), 1u);
    }
  }
  {
    ClientContext context;
    // The handler sends it before it reads, so it comes before anything is written here.
    auto adding = stub.Add({.context = &context});
    EXPECT_TRUE(adding.WaitForInitialMetadata());
    ExpectSaid(context.initial_metadata());
    EXPECT_TRUE(adding.Write(Row()));
    const absl::StatusOr<RowSum> sum = adding.Finish();
    ASSERT_EQ(sum.status(), absl::OkStatus());
    EXPECT_EQ(sum->rows(), 1);
    ExpectSaid(context.initial_metadata());
    EXPECT_EQ(context.trailers().Get("end"), "1");
  }
  // Without a row the end of the call brings it.
  for (const int64_t rows : {0, 1, 1'000}) {
    ClientContext context;
    RowQuery query;
    query.set_rows(rows);
    auto listing = stub.List(query, {.context = &context});
    Row row;
    int64_t read = 0;
    while (listing.Read(&row)) {
      if (read++ == 0) ExpectSaid(context.initial_metadata());
    }
    EXPECT_EQ(listing.Finish(), absl::OkStatus());
    EXPECT_EQ(read, rows);
    ExpectSaid(context.initial_metadata());
  }
  {
    ClientContext context;
    auto talk = stub.Talk({.context = &context});
    EXPECT_TRUE(talk.Write(Row()));
    EXPECT_TRUE(talk.WaitForInitialMetadata());
    ExpectSaid(context.initial_metadata());
    Row row;
    EXPECT_TRUE(talk.Read(&row));
    EXPECT_EQ(talk.Finish(), absl::OkStatus());
    ExpectSaid(context.initial_metadata());
  }
}

TEST(InitialMetadata, ReachesTheCallerInAllKindsOfMethod) {
  SayingRows blocking;
  SayingCoroutineRows coroutines;
  for (Service* service : {static_cast<Service*>(&blocking), static_cast<Service*>(&coroutines)}) {
    TestServer server(*service);
    const auto channel = server.Connect();
    ExpectSaidInAllKinds(*channel);
  }
}

TEST(InitialMetadata, ReachesAServerThatCallsItsCaller) {
  class CallingBack : public EchoService::Service {
   public:
    absl::Status Echo(ServerContext& call, EchoRequest&, EchoReply&) override {
      Say(call);
      ExpectSaidInAllKinds(*call.caller());
      return absl::OkStatus();
    }
  } calling_back;
  SayingRows own;
  TestServer server(calling_back);
  ChannelOptions options;
  options.services = {&own};
  const auto channel = server.Connect(std::move(options));
  ClientContext context;
  EXPECT_EQ(EchoService::Stub(*channel).Echo(RequestOf(""), {.context = &context}).status(),
            absl::OkStatus());
  ExpectSaid(context.initial_metadata());
}

TEST(InitialMetadata, OfARefusedCallIsNone) {
  HookedEcho echo;
  TestServer server(echo);
  const auto channel = server.Connect();
  ClientContext context;
  // The server has no such service: no handler could say anything.
  auto rows = Rows::Stub(*channel).List({}, {.context = &context});
  EXPECT_FALSE(rows.WaitForInitialMetadata());
  EXPECT_THAT(rows.Finish(), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_TRUE(context.initial_metadata().empty());
}

// Interceptors may say something, too.
TEST(InitialMetadata, MayBeAnInterceptors) {
  class Greeting : public ServerInterceptor {
   public:
    absl::StatusOr<std::unique_ptr<Call>> Start(const ServerCallStart& start) override {
      Say(start.context);
      return nullptr;
    }
  };
  HookedEcho echo;
  ServerOptions options;
  options.interceptors = {std::make_shared<Greeting>()};
  TestServer server(echo, std::move(options));
  const auto channel = server.Connect();
  ClientContext context;
  EXPECT_EQ(EchoService::Stub(*channel).Echo(RequestOf(""), {.context = &context}).status(),
            absl::OkStatus());
  ExpectSaid(context.initial_metadata());
}

}  // namespace
}  // namespace weft::test
