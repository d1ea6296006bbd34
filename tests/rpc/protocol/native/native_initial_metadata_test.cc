// Initial metadata byte by byte: what a server sends before its messages and its answer, and what a
// channel makes of it, also where it comes too late, too often or too large.
#include <algorithm>
#include <atomic>
#include <coroutine>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/rows.weft.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/core/coro.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/server.h"

namespace weft::internal::native {
namespace {

using absl::StatusCode;
using test::Row;
using test::RowQuery;
using test::Rows;
using test::RowSum;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kFeatures = 0x11;  // streams, initial metadata

std::shared_ptr<Runtime> Quiet() {
  RuntimeOptions options;
  options.worker_threads = 2;
  options.log_level = LogLevel::kOff;
  return *Runtime::Create(std::move(options));
}

raw::HelloFields HelloOf(uint64_t features, uint32_t max_metadata = 16 << 10) {
  return {.max_metadata = max_metadata,
          .features = features,
          .stream_window = 64 << 10,
          .connection_window = 64 << 10};
}

// ---- A server

// Each handler calls `first`, and then sends a row, or two, or as many bytes as the query says.
class HookedRows final : public Rows::Service {
 public:
  std::function<absl::Status(ServerContext&)> first;

  absl::Status Get(ServerContext& call, RowQuery& query, Row& row) override {
    absl::Status s = first(call);
    row.set_data(std::string(static_cast<size_t>(query.bytes()), 'd'));
    return s;
  }
  absl::Status Add(ServerContext& call, ServerReader<Row>& rows, RowSum&) override {
    absl::Status s = first(call);
    Row row;
    while (rows.Read(&row)) {
    }
    return s;
  }
  absl::Status List(ServerContext& call, RowQuery& query, ServerWriter<Row>& rows) override {
    absl::Status s = first(call);
    Row row;
    row.set_data(std::string(static_cast<size_t>(query.bytes()), 'd'));
    for (int64_t i = 0; i < query.rows() && rows.Write(row); ++i) {
    }
    // Comes too late.
    if (query.rows() > 0) {
      EXPECT_FALSE(call.SendInitialMetadata());
    }
    return s;
  }
};

// The frames of a call.
struct Seen {
  std::vector<FrameType> types;
  std::string headers;  // of HEADERS
  std::string trailers, text;
  StatusCode code = StatusCode::kUnknown;
};

// A real server; the test plays the client.
class ServersInitialMetadata : public ::testing::Test {
 protected:
  ~ServersInitialMetadata() override {
    if (server_ != nullptr) server_->Stop();
  }
  void Start(std::function<absl::Status(ServerContext&)> first) {
    rows_.first = std::move(first);
    options_.runtime = Quiet();
    server_ = std::make_unique<Server>(options_);
    ASSERT_TRUE(server_->Register(rows_).ok());
    ASSERT_TRUE(server_->Start("127.0.0.1:0").ok());
  }
  RawPeer Open(const raw::HelloFields& hello = HelloOf(kFeatures)) {
    RawPeer peer = RawPeer::ConnectTo(server_->port());
    peer.Send(raw::Opening(hello));
    EXPECT_EQ(peer.Read(8), raw::Preface());
    EXPECT_TRUE(peer.ReadFrame(FrameType::kHello).has_value());
    return peer;
  }
  static std::string Call(const std::string& method, const std::string& message = "") {
    return raw::Request({.id = 1, .name = "weft.test.Rows/" + method, .message = message});
  }
  // All frames of call 1, to its end.
  static Seen ReadCall(RawPeer& peer) {
    Seen seen;
    for (bool more = true; more;) {
      const std::optional<RawFrame> frame = peer.ReadFrame();
      if (!frame.has_value()) {
        ADD_FAILURE() << "no answer";
        return seen;
      }
      // Frames of no other call and none of the connection come in between.
      EXPECT_EQ(frame->header.id, 1u);
      EXPECT_EQ(FrameReader::CheckHeader(frame->header, size_t{64} << 10), FrameError::kNone);
      seen.types.push_back(frame->header.type);
      if (frame->header.type == FrameType::kHeaders) seen.headers = frame->body;
      if (frame->header.type == FrameType::kData) more = frame->header.has(kMore);
      if (frame->header.type != FrameType::kResponse) continue;
      ResponseFrame sections;
      EXPECT_EQ(FrameReader::ReadResponse(frame->header, frame->body, &sections),
                FrameError::kNone);
      seen.trailers = sections.metadata;
      seen.text = sections.error_message;
      seen.code = static_cast<StatusCode>(frame->header.aux);
      more = frame->header.has(kMore);
    }
    return seen;
  }
  static absl::Status AddPairs(ServerContext& call) {
    EXPECT_TRUE(call.initial_metadata().Add("shard", "n-7").ok());
    EXPECT_TRUE(call.trailers().Add("t", "v").ok());
    return absl::OkStatus();
  }

  ServerOptions options_;
  HookedRows rows_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServersInitialMetadata, StandsDirectlyBeforeTheAnswer) {
  Start(AddPairs);
  RawPeer peer = Open();
  peer.Send(Call("Get"));
  const Seen seen = ReadCall(peer);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kHeaders, FrameType::kResponse));
  EXPECT_EQ(seen.headers, raw::Pair("shard", "n-7"));
  EXPECT_EQ(seen.trailers, raw::Pair("t", "v"));
  EXPECT_EQ(seen.code, StatusCode::kOk);
}

TEST_F(ServersInitialMetadata, StandsBeforeAnErrorAndBeforePieces) {
  Start([](ServerContext& call) {
    (void)AddPairs(call);
    return call.metadata().empty() ? absl::OkStatus() : absl::NotFoundError("no cat");
  });
  RawPeer peer = Open();
  peer.Send(
      raw::Request({.id = 1, .name = "weft.test.Rows/Get", .metadata = raw::Pair("fail", "1")}));
  Seen seen = ReadCall(peer);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kHeaders, FrameType::kResponse));
  EXPECT_EQ(seen.code, StatusCode::kNotFound);
  RawPeer second = Open();
  // Field 2 of the query is the size of the reply.
  second.Send(Call("Get", raw::Varint(2, 100'000)));
  seen = ReadCall(second);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kHeaders, FrameType::kResponse, FrameType::kData));
  EXPECT_EQ(seen.code, StatusCode::kOk);
}

TEST_F(ServersInitialMetadata, IsNothingWhereNothingWasAdded) {
  Start([](ServerContext&) { return absl::OkStatus(); });
  for (const char* method : {"Get", "List"}) {
    RawPeer peer = Open();
    peer.Send(Call(method));
    EXPECT_THAT(ReadCall(peer).types, ElementsAre(FrameType::kResponse)) << method;
  }
}

// The next call may be served by the same object.
TEST_F(ServersInitialMetadata, IsOfOneCall) {
  // The first call sends early and adds afterwards, the second adds only, the third does nothing.
  std::atomic<int> calls{0};
  Start([&](ServerContext& call) {
    if (++calls == 1) {
      EXPECT_TRUE(call.SendInitialMetadata());
    }
    return calls < 3 ? AddPairs(call) : absl::OkStatus();
  });
  RawPeer peer = Open();
  peer.Send(Call("Get"));
  Seen seen = ReadCall(peer);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kHeaders, FrameType::kResponse));
  // The handler added its pair when HEADERS had left.
  EXPECT_EQ(seen.headers, "");
  for (uint64_t id = 2; id < 4; ++id) {
    peer.Send(raw::Request({.id = id, .name = "weft.test.Rows/Get"}));
    std::vector<FrameType> types;
    do {
      const std::optional<RawFrame> frame = peer.ReadFrame();
      ASSERT_TRUE(frame.has_value());
      EXPECT_EQ(frame->header.id, id);
      types.push_back(frame->header.type);
    } while (types.back() != FrameType::kResponse);
    EXPECT_EQ(types.size(), id == 2 ? 2u : 1u);
  }
}

TEST_F(ServersInitialMetadata, StandsBeforeTheFirstMessageOfAStream) {
  Start(AddPairs);
  RawPeer peer = Open();
  peer.Send(Call("List", raw::Varint(1, 2)));
  Seen seen = ReadCall(peer);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kHeaders, FrameType::kMessage, FrameType::kMessage,
                                      FrameType::kResponse));
  EXPECT_EQ(seen.headers, raw::Pair("shard", "n-7"));
  // A large one, in pieces.
  RawPeer second = Open();
  second.Send(Call("List", raw::Varint(1, 1) + raw::Varint(2, 100'000)));
  std::vector<FrameType> types;
  // ReadCall would take the last DATA frame for the end of the call.
  while (types.empty() || types.back() != FrameType::kResponse) {
    const std::optional<RawFrame> frame = second.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    types.push_back(frame->header.type);
  }
  EXPECT_THAT(types, ElementsAre(FrameType::kHeaders, FrameType::kMessage, FrameType::kData,
                                 FrameType::kResponse));
  // None at all.
  RawPeer third = Open();
  third.Send(Call("List"));
  EXPECT_THAT(ReadCall(third).types, ElementsAre(FrameType::kHeaders, FrameType::kResponse));
}

TEST_F(ServersInitialMetadata, LeavesAtOnceWhenTheHandlerSaysSo) {
  std::atomic<int> entered{0};
  Watched<int> released{0};
  Start([&](ServerContext& call) {
    const int number = ++entered;
    (void)AddPairs(call);
    EXPECT_TRUE(call.SendInitialMetadata());
    EXPECT_FALSE(call.SendInitialMetadata()) << "a second time";
    // Taken, but HEADERS has left without it.
    EXPECT_TRUE(call.initial_metadata().Add("too", "late").ok());
    EXPECT_TRUE(released.WaitFor([number](int n) { return n >= number; }));
    return absl::OkStatus();
  });
  for (const char* method : {"Get", "List", "Add"}) {
    RawPeer peer = Open();
    if (std::string(method) == "Add") {
      peer.Send(raw::Request({.id = 1, .name = "weft.test.Rows/Add", .opens = true}) +
                raw::HalfClose(1, false));
    } else {
      peer.Send(Call(method));
    }
    const std::optional<RawFrame> frame = peer.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->header.type, FrameType::kHeaders) << method;
    EXPECT_EQ(frame->body, raw::Pair("shard", "n-7"));
    // HEADERS has come while the handler still waits here.
    released.Update([](int& n) { ++n; });
    EXPECT_THAT(ReadCall(peer).types, ElementsAre(FrameType::kResponse));
  }
}

TEST_F(ServersInitialMetadata, GoesInFrontOfTheTrailersToAPeerThatDoesNotHaveIt) {
  Start([](ServerContext& call) {
    (void)AddPairs(call);
    EXPECT_FALSE(call.SendInitialMetadata());
    return absl::OkStatus();
  });
  for (const char* method : {"Get", "List"}) {
    // Streams alone.
    RawPeer peer = Open(HelloOf(1));
    peer.Send(Call(method, raw::Varint(1, 1)));
    const Seen seen = ReadCall(peer);
    EXPECT_EQ(seen.types.back(), FrameType::kResponse);
    EXPECT_EQ(std::count(seen.types.begin(), seen.types.end(), FrameType::kHeaders), 0);
    // The pairs of both stand together, initial metadata first.
    EXPECT_EQ(seen.trailers, raw::Pair("shard", "n-7") + raw::Pair("t", "v")) << method;
  }
  // Together they keep to the limit of trailers: 14 bytes and 8 are more than 20.
  RawPeer narrow = Open(HelloOf(1, 20));
  narrow.Send(Call("Get"));
  const Seen seen = ReadCall(narrow);
  EXPECT_EQ(seen.code, StatusCode::kResourceExhausted);
  EXPECT_EQ(seen.trailers, "");
}

TEST_F(ServersInitialMetadata, HoldsToBothSidesLimits) {
  options_.limits.max_metadata_bytes = 100;
  std::atomic<bool> fail{false};
  Start([&](ServerContext& call) {
    EXPECT_TRUE(call.initial_metadata().Add("k", std::string(43, 'v')).ok());  // 50 bytes
    if (call.metadata().Get("more").has_value()) {
      EXPECT_TRUE(call.initial_metadata().Add("k", std::string(44, 'v')).ok());  // 101
    }
    if (call.metadata().Get("at-once").has_value()) {
      EXPECT_FALSE(call.SendInitialMetadata());
    }
    return fail ? absl::NotFoundError("no cat") : absl::OkStatus();
  });
  RawPeer enough = Open(HelloOf(kFeatures, 50));
  // The peer takes just as much as there is.
  enough.Send(Call("Get"));
  EXPECT_EQ(ReadCall(enough).code, StatusCode::kOk);
  for (const bool at_once : {false, true}) {
    for (const bool more : {false, true}) {
      for (const char* method : {"Get", "List"}) {
        SCOPED_TRACE(absl::StrCat(method, at_once ? " at once" : "", more ? " more" : ""));
        RawPeer peer = Open(HelloOf(kFeatures, more ? 16 << 10 : 49));
        std::string metadata;
        if (more) metadata += raw::Pair("more", "1");
        if (at_once) metadata += raw::Pair("at-once", "1");
        peer.Send(raw::Request({.id = 1,
                                .name = absl::StrCat("weft.test.Rows/", method),
                                .metadata = metadata,
                                .message = raw::Varint(1, 1)}));
        const Seen seen = ReadCall(peer);
        EXPECT_THAT(seen.types, ElementsAre(FrameType::kResponse));
        EXPECT_EQ(seen.code, StatusCode::kResourceExhausted);
        EXPECT_THAT(seen.text,
                    HasSubstr(more ? "the reply's initial metadata of 101 bytes is over the limit "
                                     "of 100 (max_metadata_bytes of the server)"
                                   : "the reply's initial metadata of 50 bytes is over the limit "
                                     "of 49 (max_metadata_bytes of the channel)"));
      }
    }
  }
  // The metadata is still too large.
  fail = true;
  RawPeer peer = Open(HelloOf(kFeatures, 49));
  peer.Send(Call("Get"));
  const Seen seen = ReadCall(peer);
  EXPECT_THAT(seen.types, ElementsAre(FrameType::kResponse));
  EXPECT_EQ(seen.text, "no cat") << "the handler's own error goes before it";
}

TEST_F(ServersInitialMetadata, IsNotTheCallersToSend) {
  Start(AddPairs);
  RawPeer peer = Open();
  peer.Send(Call("Get"));
  EXPECT_EQ(ReadCall(peer).code, StatusCode::kOk);
  // Call 1 is the peer's own. This side has begun none that could have initial metadata.
  peer.Send(raw::Headers(1, raw::Pair("k", "v")));
  const std::optional<RawFrame> last = peer.ReadFrame(FrameType::kGoAway);
  ASSERT_TRUE(last.has_value());
  EXPECT_THAT(last->body, HasSubstr("initial metadata of call 1, which was never begun"));
  EXPECT_TRUE(peer.WaitForClose());
  EXPECT_TRUE(PollUntil([&] { return server_->closed(CloseReason::kBadFrame) == 1; }));
}

// ---- A channel

// A real channel; the test plays the server.
class ChannelsInitialMetadata : public ::testing::Test {
 protected:
  ~ChannelsInitialMetadata() override { channel_.reset(); }
  void Start(ChannelOptions options = {}) {
    channel_.reset();
    options.runtime = Quiet();
    options.limits.heartbeat_interval = absl::ZeroDuration();
    // A lost connection is dialled again at once.
    options.backoff = options.max_backoff = absl::Milliseconds(1);
    listener_.emplace();
    channel_ = *Channel::Create(listener_->address(), options);
    stub_ = std::make_unique<Rows::Stub>(*channel_);
  }
  RawPeer Accept() {
    RawPeer server = listener_->Accept();
    EXPECT_EQ(server.Read(8), raw::Preface());
    EXPECT_TRUE(server.ReadFrame(FrameType::kHello).has_value());
    server.Send(raw::Opening(HelloOf(kFeatures)));
    return server;
  }
  static void ReadRequest(RawPeer& server) {
    ASSERT_TRUE(server.ReadFrame(FrameType::kRequest).has_value()) << "no request";
  }
  static void Settle(RawPeer& server) {
    server.Send(raw::Ping(9));
    ASSERT_TRUE(server.ReadFrame(FrameType::kPing).has_value());
  }
  // A unary call: its end, when it has come.
  struct Ended {
    ClientContext context;
    Watched<std::optional<absl::StatusOr<Row>>> result;
    absl::Status Wait() {
      EXPECT_TRUE(result.WaitFor([](const auto& r) { return r.has_value(); }));
      return result.Get().value_or(absl::UnknownError("has not ended")).status();
    }
  };
  std::shared_ptr<Ended> Get() {
    auto ended = std::make_shared<Ended>();
    stub_->GetAsync({}, {.timeout = absl::Minutes(1), .context = &ended->context},
                    [ended](absl::StatusOr<Row> row) { ended->result.Set(std::move(row)); });
    return ended;
  }

  const std::string kPair = raw::Pair("shard", "n-7");
  std::optional<RawListener> listener_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Rows::Stub> stub_;
};

TEST_F(ChannelsInitialMetadata, IsInTheContextWithTheAnswer) {
  Start();
  const auto call = Get();
  RawPeer server = Accept();
  ReadRequest(server);
  // HEADERS stands alone for a while: the answer comes in another read.
  server.Send(raw::Headers(1, kPair + raw::Pair("b-bin", std::string("\0\xFF", 2))));
  Settle(server);
  server.Send(raw::Reply(1, ""));
  EXPECT_EQ(call->Wait(), absl::OkStatus());
  EXPECT_THAT(call->context.initial_metadata().entries(),
              ElementsAre(Metadata::Entry("shard", "n-7"),
                          Metadata::Entry("b-bin", std::string("\0\xFF", 2))));
  EXPECT_TRUE(call->context.trailers().empty());
  // Also of an error; up to what is damaged.
  const auto second = Get();
  ReadRequest(server);
  server.Send(raw::Headers(2, kPair + raw::Pair("Upper", "x") + kPair) + raw::Error(2, 5, "no"));
  EXPECT_EQ(second->Wait().code(), StatusCode::kNotFound);
  // Keys in upper case cannot be; the pair behind is not read any more.
  EXPECT_THAT(second->context.initial_metadata().entries(),
              ElementsAre(Metadata::Entry("shard", "n-7")));
  // Also where this side ends the call.
  const auto third = Get();
  ReadRequest(server);
  server.Send(raw::Headers(3, kPair));
  Settle(server);
  third->context.Cancel();
  EXPECT_EQ(third->Wait().code(), StatusCode::kCancelled);
  EXPECT_EQ(third->context.initial_metadata().Get("shard"), "n-7");
}

TEST_F(ChannelsInitialMetadata, IsTakenWithoutAContextAndInSeveralAttempts) {
  ChannelOptions options;
  options.retry = RetryPolicy{.attempts = 2, .backoff = absl::Milliseconds(1)};
  Start(options);
  const auto call = Get();
  Watched<std::optional<absl::Status>> plain;
  stub_->GetAsync({}, {.timeout = absl::Minutes(1), .max_attempts = 1},
                  [&](absl::StatusOr<Row> row) { plain.Set(row.status()); });
  RawPeer server = Accept();
  ReadRequest(server);
  ReadRequest(server);
  server.Send(raw::Headers(1, kPair) + raw::Headers(2, kPair) + raw::Reply(1, "") +
              raw::Reply(2, ""));
  EXPECT_EQ(call->Wait(), absl::OkStatus());
  EXPECT_EQ(call->context.initial_metadata().Get("shard"), "n-7");
  EXPECT_TRUE(plain.WaitFor([](const auto& s) { return s.has_value(); }));
  // Of the attempt that ended the call.
  const auto again = Get();
  ReadRequest(server);
  // UNAVAILABLE and not executed: the policy allows another attempt.
  server.Send(raw::Headers(3, raw::Pair("first", "")) + raw::Error(3, 14, "busy", true));
  ReadRequest(server);
  server.Send(raw::Headers(4, kPair) + raw::Reply(4, ""));
  EXPECT_EQ(again->Wait(), absl::OkStatus());
  EXPECT_THAT(again->context.initial_metadata().entries(),
              ElementsAre(Metadata::Entry("shard", "n-7")));
}

TEST_F(ChannelsInitialMetadata, OfACallThatGoesElsewhereIsForgotten) {
  Start();
  const auto call = Get();
  RawPeer server = Accept();
  ReadRequest(server);
  // The server has answered something and takes it back: GOAWAY says that it took no call.
  server.Send(raw::Headers(1, raw::Pair("first", "")) + raw::GoAway(0, "bye"));
  RawPeer other = Accept();
  ReadRequest(other);
  other.Send(raw::Headers(1, kPair) + raw::Reply(1, ""));
  EXPECT_EQ(call->Wait(), absl::OkStatus());
  EXPECT_THAT(call->context.initial_metadata().entries(),
              ElementsAre(Metadata::Entry("shard", "n-7")));
}

TEST_F(ChannelsInitialMetadata, IsDroppedWhenItComesLate) {
  Start();
  const auto call = Get();
  RawPeer server = Accept();
  ReadRequest(server);
  // A second one would be a fault while its call is under way.
  server.Send(raw::Reply(1, "") + raw::Headers(1, kPair) + raw::Headers(1, kPair));
  EXPECT_EQ(call->Wait(), absl::OkStatus());
  EXPECT_TRUE(call->context.initial_metadata().empty());
  Settle(server);
  auto rows = stub_->List({});
  ReadRequest(server);
  // The call is over for this side before the server has heard of it.
  rows.Cancel();
  ASSERT_TRUE(server.ReadFrame(FrameType::kCancel).has_value());
  server.Send(raw::Headers(2, kPair));
  Settle(server);
  EXPECT_EQ(rows.Finish().code(), StatusCode::kCancelled);
}

TEST_F(ChannelsInitialMetadata, ClosesWhereItIsNotTheFirstOfAStream) {
  // Other metadata, a message, the end of the stream, and pieces of a message or a reply.
  for (const std::string& before :
       {raw::Headers(1, ""), raw::Message(1, true, ""), raw::HalfClose(1, true),
        raw::MessageBegin(1, true, 100, "x"), raw::ReplyBegin(1, 100, "x")}) {
    Start();
    ClientContext context;
    auto rows = stub_->List({}, {.timeout = absl::Minutes(1), .context = &context});
    RawPeer server = Accept();
    ReadRequest(server);
    server.Send(before + raw::Headers(1, kPair));
    EXPECT_TRUE(server.WaitForClose());
    const absl::Status s = rows.Finish();
    EXPECT_EQ(s.code(), StatusCode::kUnavailable);
    EXPECT_THAT(std::string(s.message()), HasSubstr("not the first of its reply"));
    EXPECT_TRUE(context.initial_metadata().empty());
  }
}

TEST_F(ChannelsInitialMetadata, EndsItsCallWhereItIsTooLarge) {
  ChannelOptions options;
  // Just enough for kPair, and a byte too few for the pair that comes first.
  options.limits.max_metadata_bytes = 14;
  Start(options);
  const auto call = Get();
  RawPeer server = Accept();
  ReadRequest(server);
  server.Send(raw::Headers(1, raw::Pair("shard", "n-70")));
  EXPECT_EQ(call->Wait().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(call->Wait().message()),
              HasSubstr("the reply's initial metadata of 15 bytes"));
  EXPECT_TRUE(call->context.initial_metadata().empty());
  const std::optional<RawFrame> cancel = server.ReadFrame(FrameType::kCancel);
  ASSERT_TRUE(cancel.has_value());
  EXPECT_EQ(cancel->header.id, 1u);
  // The connection goes on: the reply to the call that was given up is dropped.
  server.Send(raw::Reply(1, ""));
  const auto second = Get();
  ReadRequest(server);
  server.Send(raw::Headers(2, kPair) + raw::Reply(2, ""));
  EXPECT_EQ(second->Wait(), absl::OkStatus());
}

// ---- Waiting for it

class WaitingForInitialMetadata : public ChannelsInitialMetadata {
 protected:
  enum class Style { kBlocking, kCoroutine, kCallback };
  static Coro<bool> Await(ClientReader<Row>& rows) {
    co_return co_await rows.WaitForInitialMetadataCoro();
  }
  // Expects that a waiting reader is told `expected` when `bytes` have come.
  void Expect(bool expected, const std::string& bytes, bool waits_before) {
    for (const Style style : {Style::kBlocking, Style::kCoroutine, Style::kCallback}) {
      Start();
      ClientContext context;
      auto rows = stub_->List({}, {.timeout = absl::Minutes(1), .context = &context});
      RawPeer server = Accept();
      ReadRequest(server);
      Watched<std::optional<bool>> told;
      if (!waits_before) {
        server.Send(bytes);
        Settle(server);
      }
      std::optional<std::thread> thread;
      if (style == Style::kBlocking) {
        thread.emplace([&] { told.Set(rows.WaitForInitialMetadata()); });
      } else if (style == Style::kCoroutine) {
        Spawn(Await(rows), [&](std::optional<bool> has, std::exception_ptr) { told.Set(has); });
      } else {
        rows.WaitForInitialMetadataAsync([&](bool has) { told.Set(has); });
      }
      if (waits_before) {
        Settle(server);
        // The thread of the blocking style may not wait yet, which makes no difference here.
        EXPECT_FALSE(told.Get().has_value());
        server.Send(bytes);
      }
      EXPECT_TRUE(told.WaitFor([](const auto& t) { return t.has_value(); }));
      if (thread.has_value()) thread->join();
      EXPECT_EQ(told.Get(), expected);
      EXPECT_EQ(context.initial_metadata().Get("shard").has_value(), expected);
      EXPECT_EQ(rows.WaitForInitialMetadata(), expected) << "it stays so";
      server.Send(raw::Reply(1, ""));
      (void)rows.Finish();
    }
  }
};

TEST_F(WaitingForInitialMetadata, EndsWithIt) {
  Expect(true, raw::Headers(1, kPair), true);
  Expect(true, raw::Headers(1, kPair), false);
  Expect(true, raw::Headers(1, kPair) + raw::Message(1, true, ""), true);
}

TEST_F(WaitingForInitialMetadata, EndsWithAMessageOrTheEnd) {
  for (const bool before : {true, false}) {
    Expect(false, raw::Message(1, true, ""), before);
    Expect(false, raw::HalfClose(1, true), before);
    Expect(false, raw::Reply(1, ""), before);
    Expect(false, raw::Error(1, 5, "no cat"), before);
  }
}

TEST_F(WaitingForInitialMetadata, IsThereWithTheFirstMessage) {
  Start();
  ClientContext context;
  auto rows = stub_->List({}, {.timeout = absl::Minutes(1), .context = &context});
  RawPeer server = Accept();
  ReadRequest(server);
  server.Send(raw::Headers(1, kPair) + raw::Message(1, true, ""));
  Row row;
  EXPECT_TRUE(rows.Read(&row));
  EXPECT_EQ(context.initial_metadata().Get("shard"), "n-7");
  server.Send(raw::Reply(1, ""));
  EXPECT_EQ(rows.Finish(), absl::OkStatus());
}

TEST_F(WaitingForInitialMetadata, EndsWhenTheHolderGoesOrTheConnectionDoes) {
  for (const bool drops : {true, false}) {
    Start();
    auto context = std::make_unique<ClientContext>();
    std::optional<ClientStream<Row, Row>> talk(
        stub_->Talk({.timeout = absl::Minutes(1), .context = context.get()}));
    RawPeer server = Accept();
    ReadRequest(server);
    Watched<std::optional<bool>> told;
    talk->WaitForInitialMetadataAsync([&](bool has) { told.Set(has); });
    if (drops) {
      // The context goes with the stream; metadata that comes then must not be written to it.
      talk.reset();
      context.reset();
      server.Send(raw::Headers(1, kPair));
    } else {
      server.Close();
    }
    EXPECT_TRUE(told.WaitFor([](const auto& t) { return t.has_value(); }));
    EXPECT_EQ(told.Get(), false);
  }
}

TEST_F(WaitingForInitialMetadata, IsRefusedOnAnIoThread) {
  Start();
  auto rows = stub_->List({});
  RawPeer server = Accept();
  ReadRequest(server);
  Watched<std::optional<bool>> waited;
  // The callback runs on the I/O thread, which the wait would block.
  stub_->GetAsync({}, {},
                  [&](const absl::StatusOr<Row>&) { waited.Set(rows.WaitForInitialMetadata()); });
  ReadRequest(server);
  server.Send(raw::Reply(2, ""));
  EXPECT_TRUE(waited.WaitFor([](const auto& w) { return w.has_value(); }));
  EXPECT_EQ(waited.Get(), false);
  EXPECT_EQ(rows.Finish().code(), StatusCode::kFailedPrecondition);
}

// A coroutine that is destroyed while it waits is not told.
TEST_F(WaitingForInitialMetadata, MayBeGivenUp) {
  Start();
  auto rows = stub_->List({});
  RawPeer server = Accept();
  ReadRequest(server);
  {
    Coro<bool> waits = Await(rows);
    // Runs up to its wait; the end of the block destroys it there.
    waits.await_suspend(std::noop_coroutine()).resume();
  }
  server.Send(raw::Headers(1, kPair));
  EXPECT_TRUE(rows.WaitForInitialMetadata());
}

}  // namespace
}  // namespace weft::internal::native
