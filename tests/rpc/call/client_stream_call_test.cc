// A client's stream whose holder goes while the call has no link yet.
#include "weft/rpc/call/client_stream_call.h"

#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/rows.weft.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {

using namespace internal;

namespace {

class Carrier final : public CallCanceller {
 public:
  void CancelCall(uint64_t id) override { cancelled.push_back(id); }
  std::vector<uint64_t> cancelled;
};

// Keeps the call waiting, as a channel without a connection does.
class WaitingTarget final : public CallTarget {
 public:
  void Start(OutboundCall& call) override {
    (void)call.PrepareAgain();
    call.Started(CallHandle(channel, 1));
    waiting = &call;
  }
  void End() {
    CallEnd end;
    end.status = absl::CancelledError("cancelled");
    waiting->End(end);
  }

  std::shared_ptr<Carrier> channel = std::make_shared<Carrier>();
  OutboundCall* waiting = nullptr;
};

// A stream that was dropped with its context while it waited, and is sent all the same: its
// cancelling has not come through yet.
class DroppedStream : public testing::Test {
 protected:
  DroppedStream() {
    ClientContext context;
    EXPECT_TRUE(context.metadata().Add("tenant", "blue").ok());
    Rows::Stub stub(target);
    auto adding = stub.Add({.context = &context});
  }
  ~DroppedStream() override { target.End(); }

  WaitingTarget target;
};

TEST_F(DroppedStream, IsCancelledWhereItWaits) {
  EXPECT_EQ(target.channel->cancelled, std::vector<uint64_t>{1});
}

TEST_F(DroppedStream, IsCancelledWhereItGoes) {
  const auto session = std::make_shared<Carrier>();
  target.waiting->Started(CallHandle(session, 7));
  EXPECT_EQ(session->cancelled, std::vector<uint64_t>{7});
}

TEST_F(DroppedStream, AsksItsContextForNothingAnyMore) {
  ASSERT_NE(target.waiting->metadata(), nullptr);
  EXPECT_EQ(target.waiting->metadata()->Get("tenant"), "blue");
  EXPECT_EQ(target.waiting->attachment(), nullptr);
  EXPECT_FALSE(target.waiting->PrepareAgain());
}

}  // namespace
}  // namespace weft::test
