// A request that is sent several times, by attempts of its call and by connections that come to
// nothing, arrives as it did the first time.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/protocol/native/handshake.h"

namespace weft::test {

using namespace internal;

namespace {

using native::FrameType;

// A channel that tries again; the test plays servers that refuse, and compares the requests that
// come.
class RepeatedRequest : public ::testing::TestWithParam<Compression> {
 protected:
  RepeatedRequest() {
    ChannelOptions options;
    options.runtime = QuietRuntime();
    options.limits.heartbeat_interval = absl::ZeroDuration();
    options.backoff = options.max_backoff = absl::Milliseconds(1);
    options.compression = GetParam();
    options.retry.attempts = 3;
    options.retry.backoff = absl::Milliseconds(1);
    channel_ = *Channel::Create(listener_.address(), std::move(options));
  }
  RawPeer Accept() {
    RawPeer peer = listener_.Accept();
    EXPECT_EQ(peer.Read(8), raw::Preface());
    EXPECT_EQ(peer.ReadFrame()->header.type, FrameType::kHello);
    peer.Send(raw::Opening(
        {.max_message = 4 << 20,
         .features = native::kStreams | native::kAttachments | native::kGzip | native::kZstd}));
    return peer;
  }
  // The next request: its number, and message and attachment as they came.
  static std::pair<uint64_t, std::string> ReadRequest(RawPeer& peer) {
    const std::optional<RawFrame> frame = peer.ReadFrame(FrameType::kRequest);
    if (!frame.has_value()) {
      ADD_FAILURE() << "no request";
      return {};
    }
    native::RequestFrame request;
    EXPECT_EQ(native::FrameReader::ReadRequest(frame->header, frame->body, &request),
              native::FrameError::kNone);
    EXPECT_EQ(request.payload.codec, static_cast<int>(GetParam()));
    EXPECT_EQ(request.payload.attachment_size, 8u);
    std::string bytes(request.payload.bytes);
    while (bytes.size() < request.payload.whole_size) {
      const std::optional<RawFrame> data = peer.ReadFrame(FrameType::kData);
      if (!data.has_value()) break;
      bytes += data->body;
    }
    return {frame->header.id, bytes};
  }

  RawListener listener_;
  std::unique_ptr<Channel> channel_;
};

TEST_P(RepeatedRequest, IsTheSameInEveryAttemptAndOnEveryConnection) {
  EchoRequest request;
  request.set_payload(std::string(100'000, 'p'));
  ClientContext context;
  context.attachment() = absl::Cord("attached");
  Watched<std::optional<absl::Status>> end;
  EchoService::Stub(*channel_).EchoIdempotentAsync(
      request, {.timeout = absl::InfiniteDuration(), .context = &context},
      [&](absl::StatusOr<EchoReply> reply) { end.Set(reply.status()); });
  // The caller's message may go as soon as the call has begun.
  request.Clear();
  std::vector<std::string> seen;
  const auto read = [&](RawPeer& peer) {
    auto [id, bytes] = ReadRequest(peer);
    seen.push_back(std::move(bytes));
    return id;
  };
  RawPeer first = Accept();
  first.Send(raw::Error(read(first), 14, "it failed"));
  read(first);
  // GOAWAY names the first attempt as the last call taken: the second goes elsewhere, and counts as
  // no attempt of the policy.
  first.Send(raw::GoAway(1, "bye"));
  RawPeer second = Accept();
  second.Send(raw::Error(read(second), 14, "it failed again"));
  second.Send(raw::Reply(read(second), raw::Text("ho")));
  ASSERT_TRUE(end.WaitFor([](const auto& e) { return e.has_value(); }));
  EXPECT_TRUE(end.Get()->ok()) << *end.Get();
  // Three by the policy, and the one that the GOAWAY sent elsewhere.
  EXPECT_EQ(context.attempts(), 4);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_GT(seen[0].size(), 8u);
  EXPECT_TRUE(seen[0].ends_with("attached"));
  for (const std::string& each : seen) EXPECT_TRUE(each == seen[0]);
}

INSTANTIATE_TEST_SUITE_P(Codecs, RepeatedRequest,
                         ::testing::Values(Compression::kNone, Compression::kGzip,
                                           Compression::kZstd));

}  // namespace
}  // namespace weft::test
