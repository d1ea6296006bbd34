// The upgrade promise: what a client and a server of wire version 1 said to each other, recorded,
// is said again to today's server and today's channel.
//
// tests/golden/wire_v1/ holds both directions of one session. It is recorded once for a version,
// by running this program with WEFT_RECORD_TRANSCRIPT=<folder>, and never changed afterwards.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/protos/echo.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/temp_dir.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/protocol/native/frame_reader.h"
#include "weft/rpc/server.h"

namespace weft::internal::native {
namespace {

using test::EchoReply;
using test::EchoRequest;
using test::EchoService;
using test::HeldEcho;

constexpr UnaryMethod<EchoRequest, EchoReply> kGone{
    MethodInfo{"weft.test.EchoService", "Gone", "weft.test.EchoService/Gone"}};
// The call of the session that is cancelled.
constexpr uint64_t kCancelled = 7;
// All calls of the session, in the order of MakeCalls.
constexpr uint64_t kCalls = 7;

std::filesystem::path Folder() {
  return std::filesystem::path(__FILE__).parent_path() / "../../../golden/wire_v1";
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<RawFrame> FramesOf(std::string_view bytes) {
  std::vector<RawFrame> frames;
  EXPECT_EQ(bytes.substr(0, 8), raw::Preface());
  bytes.remove_prefix(8);
  while (bytes.size() >= kHeaderSize) {
    RawFrame frame;
    frame.header = ReadHeader(bytes.data());
    bytes.remove_prefix(kHeaderSize);
    EXPECT_GE(bytes.size(), frame.header.length);
    frame.body = bytes.substr(0, frame.header.length);
    bytes.remove_prefix(frame.header.length);
    frames.push_back(std::move(frame));
  }
  EXPECT_TRUE(bytes.empty());
  return frames;
}

std::string BytesOf(const RawFrame& frame) {
  char header[kHeaderSize];
  WriteHeader(header, frame.header);
  return std::string(header, kHeaderSize) + frame.body;
}

// A reply without what differs from run to run.
struct Answer {
  uint16_t code = 0;
  bool not_executed = false;
  std::string metadata, message, text, details;

  bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& a) {
  return out << "code " << a.code << (a.not_executed ? " not executed" : "") << " text " << a.text
             << ", " << a.message.size() << " bytes, " << a.details.size() << " of details, "
             << a.metadata.size() << " of metadata";
}

// Takes frames until each call has its answer.
class Answers {
 public:
  void Take(const RawFrame& frame) {
    if (frame.header.type == FrameType::kResponse) {
      ResponseFrame sections;
      ASSERT_EQ(FrameReader::ReadResponse(frame.header, frame.body, &sections), FrameError::kNone);
      Answer& answer = all[frame.header.id];
      answer.code = frame.header.aux;
      answer.not_executed = frame.header.aux != 0 && frame.header.has(kNotExecuted);
      answer.metadata = sections.metadata;
      answer.message = sections.payload.bytes;
      // The framework's text about unknown methods is for people and may change.
      if (frame.header.aux != 12) answer.text = sections.error_message;
      answer.details = sections.error_details;
      ended += frame.header.has(kMore) ? 0 : 1;
    } else if (frame.header.type == FrameType::kData) {
      all[frame.header.id].message += frame.body;
      ended += frame.header.has(kMore) ? 0 : 1;
    }
  }

  std::map<uint64_t, Answer> all;
  size_t ended = 0;
};

ServerOptions OptionsOfServer() {
  ServerOptions options;
  options.runtime = test::QuietRuntime();
  // Small frames: the large message is cut in both directions.
  options.limits.max_frame_bytes = 32 << 10;
  return options;
}

ChannelOptions OptionsOfChannel() {
  ChannelOptions options;
  options.runtime = test::QuietRuntime();
  options.limits.max_frame_bytes = 32 << 10;
  return options;
}

// More than one frame, and bytes that do not repeat soon.
std::string Large() {
  std::string bytes(40'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 8);
  return bytes;
}

// The calls of the session, with what must come of them.
void MakeCalls(Channel& channel, const std::function<void()>& before_cancel) {
  EchoService::Stub stub(channel);
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("tenant", "blue").ok());
  ASSERT_TRUE(context.metadata().Add("ids-bin", std::string("\0\xFF", 2)).ok());
  EchoRequest request;
  request.set_text("one");
  absl::StatusOr<EchoReply> reply =
      stub.Echo(request, {.timeout = absl::Hours(1), .context = &context});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "one");
  request.set_text("two");
  reply = stub.Echo(request, {.timeout = absl::InfiniteDuration()});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->text(), "two");
  request.set_payload(Large());
  reply = stub.Echo(request, {.timeout = absl::Hours(1)});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->payload() == Large());
  test::FailRequest fail;
  fail.set_code(5);
  fail.set_message("no such cat");
  absl::Status status = stub.Fail(fail).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no such cat");
  // HeldEcho puts its request into the error's details.
  EXPECT_EQ(status.GetPayload("type.googleapis.com/weft.test.FailRequest"),
            absl::Cord(fail.SerializeAsString()));
  fail.set_code(13);
  fail.set_message("10");
  ClientContext with_trailers;
  EXPECT_EQ(stub.Fail(fail, {.context = &with_trailers}).status().code(),
            absl::StatusCode::kInternal);
  EXPECT_EQ(with_trailers.trailers().Get("t"), std::string(10, 't'));
  EXPECT_TRUE(with_trailers.may_have_been_executed());
  request.clear_payload();
  ClientContext gone;
  EXPECT_EQ(CallBlocking(channel, kGone, request, {.context = &gone}).status().code(),
            absl::StatusCode::kUnimplemented);
  EXPECT_FALSE(gone.may_have_been_executed());
  auto cancelled = std::make_shared<ClientContext>();
  auto ended = std::make_shared<Notification>();
  stub.HangAsync(request, {.timeout = absl::Hours(1), .context = cancelled.get()},
                 [cancelled, ended](absl::StatusOr<EchoReply> result) {
                   EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
                   ended->Notify();
                 });
  // The call is to run before it is cancelled, or it might never reach a handler.
  before_cancel();
  cancelled->Cancel();
  EXPECT_TRUE(ended->Wait());
}

// Answers the call that hangs when it is told that it is cancelled.
void AnswerWhenCancelled(HeldEcho& echo) {
  Responder<EchoReply>& held = echo.Held(0);
  EXPECT_TRUE(PollUntil([&] { return held.context().cancelled(); }));
  held.Finish(absl::CancelledError("as you wish"));
}

TEST(WireVersion1, ARecordedClientIsServedByTodaysServer) {
  const std::string said = ReadAll(Folder() / "client.bin");
  Answers expected;
  for (const RawFrame& frame : FramesOf(ReadAll(Folder() / "server.bin"))) expected.Take(frame);
  ASSERT_EQ(expected.ended, kCalls);
  // Where the CANCEL stands: behind the preface and all frames before it.
  size_t cancel = 8;
  // The recorded client's confirmation of the GOAWAY is kept back until there is one.
  const std::string ack = BytesOf(FramesOf(said).back());
  ASSERT_EQ(ack, raw::GoAwayAck());
  for (const RawFrame& frame : FramesOf(said)) {
    if (frame.header.type == FrameType::kCancel) break;
    cancel += kHeaderSize + frame.body.size();
  }
  ASSERT_LT(cancel + ack.size(), said.size());
  // At once, and in pieces of a size that no frame has.
  for (const size_t piece : {said.size(), size_t{997}}) {
    HeldEcho echo;
    Server server(OptionsOfServer());
    ASSERT_TRUE(server.Register(echo).ok());
    ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
    std::thread canceller([&] { AnswerWhenCancelled(echo); });
    RawPeer client = RawPeer::ConnectTo(server.port());
    for (size_t at = 0; at < cancel; at += piece) {
      client.Send(said.substr(at, std::min(piece, cancel - at)));
    }
    echo.Held(0);  // as it was then: the call that is cancelled runs
    client.Send(said.substr(cancel, said.size() - ack.size() - cancel));
    EXPECT_EQ(client.Read(8), raw::Preface());
    Answers answers;
    while (answers.ended < kCalls) {
      const std::optional<RawFrame> frame = client.ReadFrame();
      ASSERT_TRUE(frame.has_value());
      answers.Take(*frame);
    }
    canceller.join();
    for (const auto& [id, answer] : answers.all) EXPECT_EQ(answer, expected.all[id]) << id;
    std::jthread stopper([&] { server.Stop(absl::Minutes(1)); });
    std::optional<RawFrame> goaway = client.ReadFrame(FrameType::kGoAway);
    ASSERT_TRUE(goaway.has_value());
    // The first GOAWAY only announces; the second one names the last call.
    EXPECT_EQ(goaway->header.id, kNoCallNamed);
    client.Send(ack);
    goaway = client.ReadFrame(FrameType::kGoAway);
    ASSERT_TRUE(goaway.has_value());
    EXPECT_EQ(BytesOf(*goaway), BytesOf(FramesOf(ReadAll(Folder() / "server.bin")).back()))
        << "the one that it was sent then";
    client.Send(ack);
    EXPECT_TRUE(client.WaitForClose());
    stopper.join();
    EXPECT_EQ(server.closed(CloseReason::kLocal), 1);
  }
}

// The recorded client has its last call on its way when the server stops: it has confirmed every
// GOAWAY, as it has that one, and sent nothing behind its confirmation.
TEST(WireVersion1, ARecordedClientLosesNothingToAServerThatStops) {
  const std::string said = ReadAll(Folder() / "client.bin");
  const std::vector<RawFrame> frames = FramesOf(said);
  const std::string ack = BytesOf(frames.back());
  ASSERT_EQ(ack, raw::GoAwayAck());
  std::string before = raw::Preface();
  std::string crossing;
  for (const RawFrame& frame : frames) {
    // The last two requests go behind the first GOAWAY, as if they had crossed it.
    const bool last_two = frame.header.id == kCancelled || frame.header.id == kCancelled - 1;
    const bool request = frame.header.type == FrameType::kRequest;
    if (request || frame.header.type == FrameType::kData ||
        frame.header.type == FrameType::kHello) {
      (request && last_two ? crossing : before) += BytesOf(frame);
    }
  }
  Answers expected;
  for (const RawFrame& frame : FramesOf(ReadAll(Folder() / "server.bin"))) expected.Take(frame);
  HeldEcho echo;
  Server server(OptionsOfServer());
  ASSERT_TRUE(server.Register(echo).ok());
  ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
  RawPeer client = RawPeer::ConnectTo(server.port());
  client.Send(before);
  EXPECT_EQ(client.Read(8), raw::Preface());
  Answers answers;
  while (answers.ended < kCalls - 2) {
    const std::optional<RawFrame> frame = client.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    answers.Take(*frame);
  }
  std::jthread stopper([&] { server.Stop(absl::Minutes(1)); });
  std::optional<RawFrame> goaway = client.ReadFrame();
  ASSERT_TRUE(goaway.has_value());
  RawFrame announced = FramesOf(ReadAll(Folder() / "server.bin")).back();
  announced.header.id = kNoCallNamed;
  EXPECT_EQ(BytesOf(*goaway), BytesOf(announced)) << "but for the number, what it was sent then";
  client.Send(crossing + ack);
  echo.Held(0).Finish();
  bool named = false;
  while (answers.ended < kCalls || !named) {
    const std::optional<RawFrame> frame = client.ReadFrame();
    ASSERT_TRUE(frame.has_value());
    answers.Take(*frame);
    if (frame->header.type != FrameType::kGoAway) continue;
    named = true;
    EXPECT_EQ(frame->header.id, kCalls) << "what crossed the first one was taken";
    client.Send(ack);
  }
  EXPECT_TRUE(client.WaitForClose());
  stopper.join();
  for (uint64_t id = 1; id < kCancelled; ++id) EXPECT_EQ(answers.all[id], expected.all[id]) << id;
  EXPECT_EQ(answers.all[kCancelled].code, 0) << "nobody has cancelled it here";
  EXPECT_EQ(server.closed(CloseReason::kLocal), 1);
}

TEST(WireVersion1, ARecordedServerServesTodaysChannel) {
  const std::vector<RawFrame> frames = FramesOf(ReadAll(Folder() / "server.bin"));
  ASSERT_EQ(frames[0].header.type, FrameType::kHello);
  RawListener listener;
  absl::StatusOr<std::unique_ptr<Channel>> channel =
      Channel::Create(listener.address(), OptionsOfChannel());
  ASSERT_TRUE(channel.ok());
  Notification hanging;
  std::thread server([&] {
    RawPeer peer = listener.Accept();
    EXPECT_EQ(peer.Read(8), raw::Preface());
    ASSERT_TRUE(peer.ReadFrame(FrameType::kHello).has_value());
    peer.Send(raw::Preface() + BytesOf(frames[0]));
    for (uint64_t id = 1; id <= kCalls; ++id) {
      const std::optional<RawFrame> request = peer.ReadFrame(FrameType::kRequest);
      ASSERT_TRUE(request.has_value());
      ASSERT_EQ(request->header.id, id);
      // The recorded server answered this call behind the CANCEL, so that is waited for.
      if (id == kCancelled) {
        hanging.Notify();
        ASSERT_TRUE(peer.ReadFrame(FrameType::kCancel).has_value());
      }
      for (const RawFrame& frame : frames) {
        const bool reply =
            frame.header.type == FrameType::kResponse || frame.header.type == FrameType::kData;
        if (reply && frame.header.id == id) peer.Send(BytesOf(frame));
      }
    }
    ASSERT_EQ(frames.back().header.type, FrameType::kGoAway);
    peer.Send(BytesOf(frames.back()));
    EXPECT_TRUE(peer.ReadFrame(FrameType::kGoAwayAck).has_value());
    EXPECT_TRUE(peer.WaitForClose());
  });
  MakeCalls(**channel, [&] { EXPECT_TRUE(hanging.Wait()); });
  server.join();
  // The recorded answer to the call that was cancelled.
  EXPECT_EQ((*channel)->counts().late_replies, 1);
}

// Carries bytes from one socket to another, and keeps them.
void Relay(int from, int to, std::string* kept) {
  char bytes[16 << 10];
  for (;;) {
    const ssize_t n = ::recv(from, bytes, sizeof bytes, 0);
    if (n <= 0) break;
    kept->append(bytes, static_cast<size_t>(n));
    for (ssize_t at = 0; at < n;) {
      const ssize_t sent = ::send(to, bytes + at, static_cast<size_t>(n - at), MSG_NOSIGNAL);
      if (sent <= 0) break;
      at += sent;
    }
  }
  ::shutdown(to, SHUT_WR);
}

// Today's client and server through a relay, into `folder`.
void Record(const std::filesystem::path& folder) {
  HeldEcho echo;
  Server server(OptionsOfServer());
  ASSERT_TRUE(server.Register(echo).ok());
  ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
  RawListener listener;
  std::string client_said, server_said;
  std::thread relay([&] {
    const int client = listener.Accept().Release();
    const int to_server = RawPeer::ConnectTo(server.port()).Release();
    std::thread back([&] { Relay(to_server, client, &server_said); });
    Relay(client, to_server, &client_said);
    back.join();
    ::close(client);
    ::close(to_server);
  });
  std::thread canceller([&] { AnswerWhenCancelled(echo); });
  {
    absl::StatusOr<std::unique_ptr<Channel>> channel =
        Channel::Create(listener.address(), OptionsOfChannel());
    ASSERT_TRUE(channel.ok());
    MakeCalls(**channel, [&] { echo.Held(0); });
    canceller.join();
    // The answer to the cancelled call belongs to the record.
    EXPECT_TRUE(PollUntil([&] { return (*channel)->counts().late_replies == 1; }));
    server.Stop();
    relay.join();
  }
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "client.bin", std::ios::binary) << client_said;
  std::ofstream(folder / "server.bin", std::ios::binary) << server_said;
}

TEST(WireVersion1, IsRecordedAsItIsPlayed) {
  if (const char* folder = std::getenv("WEFT_RECORD_TRANSCRIPT")) {
    Record(folder);
    return;
  }
  // That the recorder works, without keeping what it makes.
  const TempDir folder;
  Record(folder.path());
  const auto replies = [](const std::filesystem::path& of) {
    size_t n = 0;
    for (const RawFrame& frame : FramesOf(ReadAll(of / "server.bin")))
      n += frame.header.type != FrameType::kGoAway;
    return n;
  };
  EXPECT_EQ(replies(folder.path()), replies(Folder()));
}

}  // namespace
}  // namespace weft::internal::native
