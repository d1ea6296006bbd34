// Coroutines that wait for a stream's event, over a transport that has room when the test says so;
// and those that are destroyed meanwhile.
#include "weft/rpc/call/stream_awaiters.h"

#include <coroutine>
#include <memory>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "tests/protos/rows.weft.h"
#include "weft/core/coro.h"
#include "weft/core/coro_stack.h"
#include "weft/rpc/call/client_stream.h"

namespace weft::test {

using namespace internal;

namespace {

using internal::ReadAwaiter;
using internal::WriteAwaiter;

// Has room for nothing until the test says so.
class FullTransport final : public StreamTransport {
 public:
  bool HasRoom(StreamPort&) override { return has_room; }
  StreamSent SendMessage(StreamPort&, const StreamMessage&, bool, bool, absl::Status*) override {
    if (!has_room) return StreamSent::kBlocked;
    ++sent;
    return StreamSent::kSent;
  }
  void SendHalfClose(StreamPort&) override {}
  void ReturnCredit(StreamPort&, size_t) override {}

  bool has_room = false;
  int sent = 0;
};

// A coroutine that the test begins, and may destroy where it waits.
class Begun {
 public:
  explicit Begun(Coro<void> coro) : coro_(std::move(coro)) {
    CoroStack::Resume(coro_->await_suspend(std::noop_coroutine()));
  }
  void Destroy() { coro_.reset(); }

 private:
  std::optional<Coro<void>> coro_;
};

Coro<void> WriteOne(StreamPort* port, std::optional<bool>* written) {
  Row row;
  WriteAwaiter writes(*port, row, nullptr);
  *written = co_await writes;
}

// Destroys the other one when it has read what there is.
Coro<void> ReadThenDestroy(StreamPort* port, Begun* other) {
  Row row;
  ReadAwaiter reads(*port, &row, nullptr);
  const bool read = co_await reads;
  EXPECT_FALSE(read);
  other->Destroy();
}

class StreamAwaiters : public testing::Test {
 protected:
  StreamAwaiters() { port->Bind(transport, {1 << 20, "channel"}); }

  std::shared_ptr<FullTransport> transport = std::make_shared<FullTransport>();
  std::shared_ptr<StreamPort> port = std::make_shared<StreamPort>();
};

TEST_F(StreamAwaiters, AWriterWaitsForRoomAsOftenAsThereIsNone) {
  std::optional<bool> written;
  Begun writer(WriteOne(port.get(), &written));
  // Another writer has taken the room: this one has to wait again.
  port->OnRoom();
  EXPECT_EQ(written, std::nullopt);
  transport->has_room = true;
  port->OnRoom();
  EXPECT_EQ(written, true);
  EXPECT_EQ(transport->sent, 1);
}

TEST_F(StreamAwaiters, AWriterThatWaitsWhenTheStreamEndsHasNotWritten) {
  std::optional<bool> written;
  Begun writer(WriteOne(port.get(), &written));
  port->EndStream(/*drop=*/false);
  EXPECT_EQ(written, false);
}

TEST_F(StreamAwaiters, OneThatIsDestroyedWhileItWaitsIsNotResumed) {
  std::optional<bool> written;
  Begun writer(WriteOne(port.get(), &written));
  writer.Destroy();
  transport->has_room = true;
  port->OnRoom();
  EXPECT_EQ(written, std::nullopt);
  EXPECT_EQ(transport->sent, 0);
}

// The end takes both out of the stream, and then calls one after the other.
TEST_F(StreamAwaiters, NorIsOneThatIsDestroyedWhenItsWordIsOnItsWay) {
  std::optional<bool> written;
  Begun writer(WriteOne(port.get(), &written));
  Begun reader(ReadThenDestroy(port.get(), &writer));
  port->EndStream(/*drop=*/false);
  EXPECT_EQ(written, std::nullopt);
}

// Keeps the call for the test to end.
class Target final : public CallTarget {
 public:
  void Start(OutboundCall& call) override { started = &call; }
  OutboundCall* started = nullptr;
};

Coro<void> Finish(ClientStream<Row, Row>* talk, std::optional<absl::Status>* ended) {
  *ended = co_await talk->FinishCoro();
}

Coro<void> WriteThenDestroy(ClientStream<Row, Row>* talk, Begun** other) {
  const Row row;
  const bool written = co_await talk->WriteCoro(row);
  EXPECT_FALSE(written);
  if (*other != nullptr) (*other)->Destroy();
}

// The call's end wakes who writes before it tells who waits for it.
TEST(StreamEndAwaiter, IsNotResumedWhereItIsDestroyedWhenTheEndIsOnItsWay) {
  for (const bool destroys : {false, true}) {
    Target target;
    Rows::Stub stub(target);
    auto talk = stub.Talk();
    std::optional<absl::Status> ended;
    Begun* destroyed = nullptr;
    Begun writer(WriteThenDestroy(&talk, &destroyed));
    Begun finisher(Finish(&talk, &ended));
    if (destroys) destroyed = &finisher;
    CallEnd end;
    end.status = absl::UnavailableError("gone");
    target.started->End(end);
    EXPECT_EQ(ended.has_value(), !destroys);
    EXPECT_TRUE(absl::IsUnavailable(ended.value_or(end.status)));
  }
}

}  // namespace
}  // namespace weft::test
