// Exceptions of the user's callbacks, listeners and executors are logged and counted, and calls,
// connections and servers go on.
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/integration/stack.h"
#include "tests/protos/rows.weft.h"
#include "weft/core/in_process_network.h"

namespace weft::test {
namespace {

using ::testing::Contains;
using ::testing::Each;

constexpr CallOptions kLong{.timeout = absl::Minutes(1)};

// Takes what is handed over, and throws.
class BrokenExecutor final : public Executor {
 public:
  void Execute(absl::AnyInvocable<void() &&>) override { throw std::runtime_error("no threads"); }
};

class ListedRows final : public Rows::AsyncService {
 public:
  void Get(ServerContext&, RowQuery&, Responder<Row> responder) override { responder.Finish(); }
  // The callback of the read ends the call and throws behind that.
  void Talk(ServerContext&, AsyncServerStream<Row, Row> stream) override {
    auto kept = std::make_shared<AsyncServerStream<Row, Row>>(std::move(stream));
    auto row = std::make_shared<Row>();
    kept->ReadAsync(row.get(), [kept, row](bool) {
      kept->Finish();
      throw std::runtime_error("in the server's read");
    });
  }
};

class CallbackThrows : public testing::Test {
 protected:
  void Begin(ServerOptions server = {}, ChannelOptions channel = {}) {
    network_ = InProcessNetwork::Create({});
    server.network = channel.network = network_;
    server.runtime =
        RuntimeOf({.worker_threads = 2, .log_level = LogLevel::kWarning, .log_sink = server_log_});
    channel.runtime = RuntimeOf({.log_level = LogLevel::kWarning, .log_sink = channel_log_});
    server_ = std::make_unique<Server>(server);
    ASSERT_EQ(server_->Register(service_), absl::OkStatus());
    ASSERT_EQ(server_->Start("inproc:rows"), absl::OkStatus());
    channel_ = ChannelTo("inproc:rows", channel);
    stub_.emplace(*channel_);
  }
  [[nodiscard]] static bool Says(CollectedLog& log, const std::string& wanted) {
    return log.lines.WaitFor([&](const std::vector<std::string>& lines) {
      return std::find(lines.begin(), lines.end(), wanted) != lines.end();
    });
  }

  const std::shared_ptr<CollectedLog> server_log_ = std::make_shared<CollectedLog>();
  const std::shared_ptr<CollectedLog> channel_log_ = std::make_shared<CollectedLog>();
  ListedRows service_;
  std::shared_ptr<InProcessNetwork> network_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Channel> channel_;
  std::optional<Rows::Stub> stub_;
};

TEST_F(CallbackThrows, ACallsCallback) {
  Begin();
  Watched<int> begun{0};
  for (int i = 0; i < 3; ++i) {
    stub_->GetAsync({}, kLong, [&](absl::StatusOr<Row>) {
      begun.Update([](int& n) { ++n; });
      throw std::runtime_error("mine");
    });
  }
  EXPECT_TRUE(begun.WaitForValue(3));  // the next reply comes to the loop after all three threw
  EXPECT_TRUE(Says(*channel_log_, "a call's callback threw: mine"));
  EXPECT_EQ(stub_->Get({}, kLong).status(), absl::OkStatus());
  EXPECT_EQ(channel_->counts().callback_throws, 3);
  EXPECT_EQ(channel_->counts().connects, 1);
}

TEST_F(CallbackThrows, CallbacksOfAStreamOnBothSides) {
  Begin();
  ClientStream<Row, Row> talk = stub_->Talk(kLong);
  Row row;
  talk.ReadAsync(&row, [](bool) { throw 1; });
  Watched<int> ready{0};
  talk.OnReady([&] {
    ready.Set(1);
    throw std::runtime_error("ready");
  });
  ASSERT_TRUE(ready.WaitForValue(1));
  EXPECT_TRUE(talk.TryWrite(Row()));
  EXPECT_TRUE(Says(*server_log_, "a stream's callback threw: in the server's read"));
  EXPECT_TRUE(
      Says(*channel_log_, "a stream's callback threw: something that is no std::exception"));
  Watched<int> ended{0};
  talk.FinishAsync([&](absl::Status s) {
    ended.Set(s.ok() ? 1 : 2);
    throw std::runtime_error("at the end");
  });
  EXPECT_TRUE(ended.WaitForValue(1));
  EXPECT_TRUE(Says(*channel_log_, "the callback of a stream's end threw: at the end"));
  EXPECT_EQ(channel_->counts().callback_throws, 3);
  EXPECT_EQ(server_->callback_throws(), 1);
}

TEST_F(CallbackThrows, ListenersOfConnectionsAndOfTheServersState) {
  const auto listener = [](const ConnectionEvent&) { throw std::runtime_error("a connection"); };
  ServerOptions server;
  server.on_connection = listener;
  server.on_state = [](ServerState) { throw std::runtime_error("a state"); };
  ChannelOptions channel;
  channel.on_connection = listener;
  Begin(server, channel);
  EXPECT_EQ(stub_->Get({}, kLong).status(), absl::OkStatus());
  EXPECT_TRUE(Says(*channel_log_, "a listener of connections threw: a connection"));
  EXPECT_TRUE(Says(*server_log_, "a listener of connections threw: a connection"));
  EXPECT_TRUE(Says(*server_log_, "a listener of a server's state threw: a state"));
  server_->Stop();
  EXPECT_EQ(server_->state(), ServerState::kStopped);
  // Serving, draining, stopped, and at least the connection's coming and going.
  EXPECT_GE(server_->callback_throws(), 5);
}

TEST_F(CallbackThrows, AnExecutor) {
  Begin();
  BrokenExecutor executor;
  const CallOptions options{.timeout = absl::Minutes(1), .executor = &executor};
  stub_->GetAsync({}, options, [](absl::StatusOr<Row>) { ADD_FAILURE(); });
  // The callback is lost with the closure that the executor dropped; the channel goes on.
  EXPECT_TRUE(Says(*channel_log_, "an executor threw: no threads"));
  EXPECT_EQ(stub_->Get({}, kLong).status(), absl::OkStatus());
}

Coro<int> AwaitGet(Rows::Stub& stub) {
  const absl::StatusOr<Row> row = co_await stub.GetCoro({}, kLong);
  co_return row.ok() ? 1 : 0;
}

TEST_F(CallbackThrows, TheEndOfASpawnedCoroutine) {
  Begin();
  // Spawned on the loop, where the reply cannot come before the coroutine waits for it. On this
  // thread the coroutine might end inside Spawn, and no runtime's log would tell of the exception.
  stub_->GetAsync({}, kLong, [this](absl::StatusOr<Row>) {
    Spawn(AwaitGet(*stub_),
          [](std::optional<int>, std::exception_ptr) { throw std::runtime_error("at its end"); });
  });
  EXPECT_TRUE(Says(*channel_log_, "what a coroutine was spawned with threw: at its end"));
  EXPECT_EQ(channel_->counts().callback_throws, 1);
}

}  // namespace
}  // namespace weft::test
