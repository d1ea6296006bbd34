// A process in which nothing of 64 KiB and more can be had: what needs it ends with
// RESOURCE_EXHAUSTED, the process and all else go on.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/no_large_memory.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "weft/core/in_process_network.h"
#include "weft/core/transport.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;

// Answers Echo at once. A call of Hang has its reply made when it comes, and is answered when the
// test says so.
class PreparedEcho final : public EchoService::AsyncService {
 public:
  void Echo(ServerContext&, EchoRequest& request, Responder<EchoReply> responder) override {
    responder.reply().set_text(request.text());
    responder.Finish();
  }
  // Holds the call, with a reply of so many bytes: in its payload, or, below zero, in many words.
  void Hang(ServerContext& call, EchoRequest& request, Responder<EchoReply> responder) override {
    const int64_t bytes = request.number();
    const std::string some = Pattern(1'000);  // compressed it is small, and not too small
    while (static_cast<int64_t>(responder.reply().payload().size()) < bytes) {
      responder.reply().mutable_payload()->append(some);
    }
    for (int64_t have = 0; have < -bytes; have += 1'000) {
      responder.reply().add_words(std::string(1'000, 'w'));
    }
    if (request.text() == "compressed") call.set_compression(Compression::kGzip);
    auto held = std::make_shared<Responder<EchoReply>>(std::move(responder));
    held_.Update([&](auto& all) { all.push_back(std::move(held)); });
  }
  void AwaitHeld(size_t n) {
    EXPECT_TRUE(held_.WaitFor([&](const auto& all) { return all.size() >= n; }));
  }
  size_t held() const { return held_.Get().size(); }
  void Release() {
    std::vector<std::shared_ptr<Responder<EchoReply>>> all;
    held_.Update([&](auto& held) { all.swap(held); });
    for (const auto& responder : all) responder->Finish();
  }

 private:
  Watched<std::vector<std::shared_ptr<Responder<EchoReply>>>> held_;
};

class PreparedRows final : public Rows::Service {
 public:
  absl::Status List(ServerContext&, RowQuery& query, ServerWriter<Row>& rows) override {
    Row row;
    EXPECT_TRUE(rows.Write(row));
    row.set_data(std::string(static_cast<size_t>(query.bytes()), 'r'));
    ready.Notify();
    EXPECT_TRUE(writes.WaitForValue(true));
    EXPECT_FALSE(rows.Write(row));
    return absl::OkStatus();
  }
  Notification ready;
  Watched<bool> writes{false};
};

class LittleMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!NoLargeMemory::kPossible) GTEST_SKIP() << "a sanitizer needs memory itself";
  }
  void TearDown() override { echo_.Release(); }

  // A call of Hang that is held, with such a reply.
  void Hold(EchoService::Stub& stub, int64_t bytes, const std::string& text, EchoResult& result) {
    EchoRequest request = RequestOf(text);
    request.set_number(bytes);
    const size_t before = echo_.held();
    stub.HangAsync(request, {.timeout = absl::InfiniteDuration()}, Into(result));
    echo_.AwaitHeld(before + 1);
  }

  PreparedEcho echo_;
};

TEST_F(LittleMemory, AReplyWithoutMemoryEndsItsCallAndNothingElse) {
  TestServer server(echo_);
  auto channel = server.Connect();
  // Small fields are copied into the output, and a compressed reply into memory of its own. A plain
  // payload would be sent from where it stands, without more memory.
  EchoService::Stub stub(*channel);
  for (const auto& [bytes, text] :
       {std::pair<int64_t, std::string>{-16'000'000, "words"}, {4'000'000, "compressed"}}) {
    EchoResult result;
    Hold(stub, bytes, text, result);
    {
      const NoLargeMemory none(NoLargeMemory::Of::kMappings);
      echo_.Release();
      EXPECT_THAT(result.Wait().status(),
                  IsStatus(kExhausted, HasSubstr("no memory to send the reply")))
          << text;
      EXPECT_TRUE(stub.Echo(RequestOf("small")).ok());
    }
    EchoResult again;
    Hold(stub, bytes, text, again);
    echo_.Release();
    EXPECT_TRUE(again.Wait().ok()) << text;
  }
}

TEST_F(LittleMemory, AMessageOfAStreamWithoutMemoryEndsItsStreamAndNothingElse) {
  PreparedRows service;
  TestServer server(service);
  ASSERT_EQ(server->addresses().size(), 1u);
  auto channel = server.Connect();
  Rows::Stub stub(*channel);
  RowQuery query;
  query.set_bytes(4'000'000);
  // The first row is read while there is memory, so only the second write can fail.
  auto rows = stub.List(query, {.timeout = absl::InfiniteDuration()});
  Row row;
  ASSERT_TRUE(rows.Read(&row));
  ASSERT_TRUE(service.ready.Wait());
  {
    const NoLargeMemory none(NoLargeMemory::Of::kMappings);
    service.writes.Set(true);
    EXPECT_FALSE(rows.Read(&row));
  }
  EXPECT_THAT(rows.Finish(), IsStatus(kExhausted, HasSubstr("no memory to send a stream message")));
}

TEST_F(LittleMemory, ARequestThatCannotBeKeptEndsItsConnection) {
  RawListener listener;
  auto channel = ChannelTo(listener.address());
  EchoService::Stub stub(*channel);
  EchoResult first, large;
  stub.EchoAsync(RequestOf("connects"), {}, Into(first));
  RawPeer peer = listener.Accept();
  peer.Send(raw::Opening() + raw::Reply(1, raw::Text("connects")));
  EXPECT_TRUE(first.Wait().ok());
  const EchoRequest request = PayloadOf(32 << 20);
  {
    const NoLargeMemory none(NoLargeMemory::Of::kMappings);  // for what the peer does not take
    stub.EchoAsync(request, {.timeout = absl::InfiniteDuration()}, Into(large));
    EXPECT_THAT(large.Wait().status(), HasCode(absl::StatusCode::kUnavailable));
  }
}

TEST_F(LittleMemory, CallsThatTheTableHasNoRoomForAreRefusedByTheClient) {
  TestServer server(echo_);
  auto channel = server.Connect();
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(stub.Echo(RequestOf("connects")).ok());
  constexpr size_t kCalls = 1'500;
  // A table is doubled when it is half full. Twice 2,048 slots of 16 bytes would be 64 KiB, which
  // is refused: 1,024 calls fit.
  EchoResult results;
  {
    const NoLargeMemory none(NoLargeMemory::Of::kNew);
    for (size_t i = 0; i < kCalls; ++i) {
      stub.HangAsync(RequestOf("held"), {.timeout = absl::InfiniteDuration()}, Into(results));
    }
    const size_t refused = kCalls - 1'024;
    for (const auto& result : results.WaitForAll(refused)) {
      EXPECT_THAT(result.status(),
                  IsStatus(kExhausted, HasSubstr("client side: no memory for a call more")));
    }
    echo_.AwaitHeld(kCalls - refused);
  }
  echo_.Release();
  EXPECT_EQ(results.WaitForAll(kCalls).size(), kCalls);
  EXPECT_TRUE(stub.Echo(RequestOf("goes on")).ok());
}

TEST_F(LittleMemory, CallsThatTheTableHasNoRoomForAreRefusedByTheServer) {
  TestServer server(echo_);
  RawPeer peer = RawPeer::ConnectTo(server.port());
  peer.Send(raw::Opening());
  EXPECT_EQ(peer.Read(8), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(native::FrameType::kHello).has_value());
  const NoLargeMemory none(NoLargeMemory::Of::kNew);
  uint64_t id = 0;
  while (id < 1'500) {
    peer.Send(raw::Request({.id = ++id, .name = "weft.test.EchoService/Hang"}));
  }
  const std::optional<RawFrame> refusal = peer.ReadFrame(native::FrameType::kResponse);
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->header.aux, static_cast<int>(kExhausted));
  EXPECT_TRUE(refusal->header.has(native::kNotExecuted));
  EXPECT_THAT(refusal->body, HasSubstr("no memory for a call more beside the "));
  echo_.AwaitHeld(refusal->header.id - 1);
  // The connection goes on: it still takes a cancel and answers.
  peer.Send(raw::Cancel(1) + raw::Ping(7));
  EXPECT_TRUE(peer.ReadFrame(native::FrameType::kPing).has_value());
  echo_.Release();
}

TEST_F(LittleMemory, AMethodNumberThatTheTableHasNoRoomForClosesItsConnection) {
  ServerOptions options;
  options.limits.max_methods = 65'535;
  TestServer server(echo_, options);
  RawPeer peer = RawPeer::ConnectTo(server.port());
  peer.Send(raw::Opening());
  EXPECT_EQ(peer.Read(8), raw::Preface());
  ASSERT_TRUE(peer.ReadFrame(native::FrameType::kHello).has_value());
  const NoLargeMemory none(NoLargeMemory::Of::kNew);
  // The table is as long as its highest number, which the peer chooses.
  peer.Send(raw::Request({.id = 1, .number = 60'000}));
  const std::optional<RawFrame> last = peer.ReadFrame(native::FrameType::kGoAway);
  ASSERT_TRUE(last.has_value());
  EXPECT_THAT(last->body, HasSubstr("no memory for a table of 60000 methods"));
  EXPECT_TRUE(peer.WaitForClose());
}

TEST_F(LittleMemory, AConnectionThatTheTableHasNoRoomForIsRefused) {
  const auto log = std::make_shared<CollectedLog>();
  const auto network = InProcessNetwork::Create({.buffer_bytes = 4'096});
  ServerOptions options;
  options.network = network;
  options.runtime = RuntimeOf({.log_sink = log});
  options.limits.handshake_timeout = absl::InfiniteDuration();  // these say nothing
  Server server(options);
  ASSERT_EQ(server.Register(echo_), absl::OkStatus());
  ASSERT_EQ(server.Start("inproc:little"), absl::OkStatus());
  std::vector<std::unique_ptr<Transport>> clients;
  clients.reserve(10'000);
  const auto refused = [&] { return log->lines.Get().size() > 0; };
  {
    const NoLargeMemory none(NoLargeMemory::Of::kNew);
    while (clients.size() < 10'000 && !refused()) {
      auto client = network->Dial("little", Clock::System());
      ASSERT_TRUE(client.ok()) << client.status();
      clients.push_back(*std::move(client));
    }
  }
  ASSERT_TRUE(refused());
  EXPECT_THAT(log->lines.Get().at(0),
              HasSubstr("refused: no memory for a connection more beside "));
  // There is room again.
  ChannelOptions channel_options;
  channel_options.network = network;
  auto channel = ChannelTo("inproc:little", channel_options);
  EchoService::Stub stub(*channel);
  EXPECT_TRUE(stub.Echo(RequestOf("served")).ok());
  clients.clear();
}

}  // namespace
}  // namespace weft::test
