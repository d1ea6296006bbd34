// Writers of streams that wait while others fill the connection's output.
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "tests/protos/rows.weft.h"
#include "tests/rpc/protocol/native/held_echo.h"
#include "tests/support/raw_frames.h"
#include "tests/support/raw_peer.h"
#include "tests/support/watched.h"
#include "weft/rpc/server.h"

namespace weft::test {

using namespace internal;

namespace {

using native::FrameType;

constexpr int64_t kRows = 8;
constexpr int64_t kRowBytes = 2'000;
// More than two sockets hold.
constexpr int64_t kReplyBytes = int64_t{24} << 20;

// Lists rows as there is room for them, and says when it waits for some.
class PatientRows final : public Rows::AsyncService {
 public:
  using Writer = AsyncServerWriter<Row>;

  void Get(ServerContext&, RowQuery& query, Responder<Row> responder) override {
    responder.reply().set_data(std::string(static_cast<size_t>(query.bytes()), 'd'));
    responder.Finish();
  }
  void List(ServerContext&, RowQuery& query, Writer replies) override {
    GoOn(std::make_shared<Writer>(std::move(replies)), query.rows(), query.bytes());
  }
  Watched<int> waits{0};

 private:
  void GoOn(const std::shared_ptr<Writer>& replies, int64_t left, int64_t bytes) {
    Row row;
    row.set_data(std::string(static_cast<size_t>(bytes), 'r'));
    for (; left > 0; --left) {
      if (replies->TryWrite(row)) continue;
      replies->OnReady([this, replies, left, bytes] { GoOn(replies, left, bytes); });
      waits.Update([](int& n) { ++n; });
      return;
    }
    replies->Finish(absl::OkStatus());
  }
};

std::string Query(int64_t rows, int64_t bytes) {
  return raw::Varint(1, static_cast<uint64_t>(rows)) + raw::Varint(2, static_cast<uint64_t>(bytes));
}

ConnectionInfo OnlyConnection(const Server& server) {
  const std::vector<ConnectionInfo> all = server.connection_list();
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? ConnectionInfo() : all[0];
}

TEST(StreamRoom, CreditThatComesWhileTheOutputIsFullIsNotForgotten) {
  PatientRows service;
  ServerOptions options;
  options.runtime = QuietRuntime();
  options.limits.heartbeat_interval = absl::ZeroDuration();
  options.limits.max_output_bytes = size_t{1} << 30;
  Server server(options);
  ASSERT_TRUE(server.Register(service).ok());
  ASSERT_TRUE(server.Start("127.0.0.1:0").ok());
  RawPeer peer = RawPeer::ConnectTo(server.port(), /*receive_buffer=*/4'096);
  peer.Send(raw::Opening({.max_message = 64 << 20,
                          .features = 1,
                          .stream_window = 4'096,
                          .connection_window = 1 << 30}));
  // The stream uses up its credit.
  peer.Send(
      raw::Request({.id = 1, .name = "weft.test.Rows/List", .message = Query(kRows, kRowBytes)}));
  ASSERT_TRUE(service.waits.WaitFor([](int n) { return n >= 1; }));
  // A reply that nobody reads fills the output; the stream does not wait for that.
  const auto send = [&](const std::string& bytes) {
    const uint64_t taken = OnlyConnection(server).bytes_in;
    peer.Send(bytes);
    // A PING's answer would stand behind the reply that nobody reads, so the bytes are counted.
    while (OnlyConnection(server).bytes_in < taken + bytes.size()) std::this_thread::yield();
  };
  send(raw::Request({.id = 2, .name = "weft.test.Rows/Get", .message = Query(0, kReplyBytes)}));
  while (OnlyConnection(server).calls != 1) std::this_thread::yield();
  // The credit comes while the output is full. The stream must then wait for room, because no later
  // WINDOW would wake it.
  send(raw::Window(1, /*reply=*/false, 1 << 20));
  // Now the output empties, and no credit comes any more.
  EXPECT_EQ(peer.Read(8), raw::Preface());
  int64_t rows = 0;
  int answers = 0;
  while (rows < kRows || answers < 2) {
    const std::optional<RawFrame> frame = peer.ReadFrame();
    ASSERT_TRUE(frame.has_value()) << rows << " rows, " << answers << " answers";
    if (frame->header.type == FrameType::kMessage) ++rows;
    if (frame->header.type == FrameType::kResponse) ++answers;
  }
  peer.Close();
  server.Stop();
}

}  // namespace
}  // namespace weft::test
