// A stream's end with a carrier that keeps books about credit.
#include "weft/rpc/call/stream_port.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/protos/rows.pb.h"

namespace weft::test {
namespace {

class CountingCarrier final : public StreamCarrier {
 public:
  bool HasRoom(StreamPort&) override { return true; }
  StreamSent SendMessage(StreamPort&, const google::protobuf::MessageLite&, bool, bool,
                         absl::Status*) override {
    return StreamSent::kSent;
  }
  void SendHalfClose(StreamPort&) override {}
  void ReturnCredit(StreamPort& port, size_t bytes) override {
    returned += bytes;
    if (!port.ended()) returned_to_stream += bytes;
  }

  size_t returned = 0;
  size_t returned_to_stream = 0;  // while it was open
};

class StreamPortReading : public testing::Test {
 protected:
  static constexpr size_t kCost = 100;

  StreamPortReading() { port->Bind(carrier, 1 << 20, 1 << 20); }
  void Deliver(int64_t number) {
    Row row;
    row.set_number(number);
    const std::string bytes = row.SerializeAsString();
    BlockRef block = BlockRef::New(bytes.size());
    bytes.copy(block->data(), bytes.size());
    const char* const data = block->data();
    port->Deliver({std::move(block), data, bytes.size()}, kCost);
  }
  // The next message's number.
  std::optional<int64_t> Read() {
    Row row;
    if (port->TryRead(&row) != StreamRead::kMessage) return std::nullopt;
    return row.number();
  }

  std::shared_ptr<CountingCarrier> carrier = std::make_shared<CountingCarrier>();
  std::shared_ptr<StreamPort> port = std::make_shared<StreamPort>();
};

TEST_F(StreamPortReading, GivesBackWhatWasReadAndNothingElse) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  EXPECT_EQ(carrier->returned, kCost);
  EXPECT_EQ(Read(), 1);
  Deliver(3);
  EXPECT_EQ(Read(), 2);
  EXPECT_EQ(Read(), 3);
  EXPECT_EQ(carrier->returned, 4 * kCost);
  EXPECT_EQ(Read(), std::nullopt);
}

TEST_F(StreamPortReading, EndGivesBackWhatTheReaderHadTakenAndNotRead) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);  // it has taken all three
  Deliver(3);
  port->EndStream(/*drop=*/true);
  EXPECT_EQ(carrier->returned, 4 * kCost);
}

TEST_F(StreamPortReading, WhatIsReadAfterTheEndIsGivenBackOnce) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  port->EndStream(/*drop=*/true);
  while (Read().has_value()) {
  }
  EXPECT_EQ(carrier->returned, 3 * kCost);
}

TEST_F(StreamPortReading, EndThatDropsNothingLeavesAllToBeRead) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  Deliver(3);
  port->EndStream(/*drop=*/false);
  for (int64_t i = 1; i < 4; ++i) EXPECT_EQ(Read(), i);
  EXPECT_EQ(Read(), std::nullopt);
  EXPECT_EQ(carrier->returned, 4 * kCost);
}

TEST_F(StreamPortReading, ThatStopsGivesTheStreamItsCreditBack) {
  for (int64_t i = 0; i < 3; ++i) Deliver(i);
  EXPECT_EQ(Read(), 0);
  Deliver(3);
  port->StopReading();
  EXPECT_EQ(carrier->returned_to_stream, 4 * kCost);
  Deliver(4);
  EXPECT_EQ(carrier->returned_to_stream, 5 * kCost);
  EXPECT_FALSE(port->ended());
}

TEST_F(StreamPortReading, ThatStopsTellsAReaderWhoWaits) {
  bool told = false;
  ASSERT_TRUE(port->Wait(StreamPort::For::kMessages, [&] { told = true; }));
  port->StopReading();
  EXPECT_TRUE(told);
  EXPECT_FALSE(port->Wait(StreamPort::For::kMessages, [] {}));
  Row row;
  EXPECT_EQ(port->TryRead(&row), StreamRead::kEnd);
}

}  // namespace
}  // namespace weft::test
