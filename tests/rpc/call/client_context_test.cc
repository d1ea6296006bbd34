// The cancelling of a call by its context, wherever the call is at that moment.
#include "weft/rpc/call/client_context.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "weft/rpc/call/context_writer.h"

namespace weft::internal {
namespace {

// A connection, or a place to wait for one, that has a call with a number.
class Carrier final : public CallCanceller {
 public:
  void CancelCall(uint64_t id) override {
    std::lock_guard<std::mutex> lock(mu_);
    cancelled_.push_back(id);
  }
  std::vector<uint64_t> cancelled() const {
    std::lock_guard<std::mutex> lock(mu_);
    return cancelled_;
  }

 private:
  mutable std::mutex mu_;
  std::vector<uint64_t> cancelled_;
};

using Ids = std::vector<uint64_t>;

TEST(ClientContext, KnowsNothingBeforeItsCall) {
  const ClientContext context;
  EXPECT_FALSE(context.cancelled());
  EXPECT_FALSE(context.may_have_been_executed());
  EXPECT_TRUE(context.trailers().empty());
  EXPECT_EQ(context.handler_time(), absl::ZeroDuration());
}

TEST(ClientContext, CancelsTheCallThatHasStarted) {
  auto carrier = std::make_shared<Carrier>();
  ClientContext context;
  ContextWriter(context).SetHandle(CallHandle(carrier, 3));
  EXPECT_EQ(carrier->cancelled(), Ids{});
  context.Cancel();
  EXPECT_EQ(carrier->cancelled(), Ids{3});
  EXPECT_TRUE(context.cancelled());
}

TEST(ClientContext, CancelsACallThatStartsLater) {
  auto carrier = std::make_shared<Carrier>();
  ClientContext context;
  context.Cancel();
  // The cancelling came first, so the carrier is told as soon as it has the call.
  ContextWriter(context).SetHandle(CallHandle(carrier, 3));
  EXPECT_EQ(carrier->cancelled(), Ids{3});
}

TEST(ClientContext, CancelsWhereTheCallIsNow) {
  auto waiting = std::make_shared<Carrier>();
  auto session = std::make_shared<Carrier>();
  ClientContext context;
  ContextWriter(context).SetHandle(CallHandle(waiting, 1));
  ContextWriter(context).SetHandle(CallHandle(session, 9));
  context.Cancel();
  // The call has left this carrier, which would look for it in vain.
  EXPECT_EQ(waiting->cancelled(), Ids{});
  EXPECT_EQ(session->cancelled(), Ids{9});
}

TEST(ClientContext, CancelsNothingAfterTheEnd) {
  auto carrier = std::make_shared<Carrier>();
  ClientContext context;
  ContextWriter(context).SetHandle(CallHandle(carrier, 3));
  Metadata trailers;
  ASSERT_TRUE(trailers.Add("k", "v").ok());
  ContextWriter(context).SetEnd(std::move(trailers), absl::Milliseconds(2), true, 2);
  EXPECT_EQ(context.attempts(), 2);
  EXPECT_EQ(carrier.use_count(), 1) << "an ended call keeps no connection";
  context.Cancel();
  EXPECT_EQ(carrier->cancelled(), Ids{});
  EXPECT_EQ(context.trailers().Get("k"), "v");
  EXPECT_EQ(context.handler_time(), absl::Milliseconds(2));
  EXPECT_TRUE(context.may_have_been_executed());
}

TEST(ClientContext, NeverLosesACancelThatComesWhileTheCallMoves) {
  for (int round = 0; round < 200; ++round) {
    auto waiting = std::make_shared<Carrier>();
    auto session = std::make_shared<Carrier>();
    ClientContext context;
    ContextWriter(context).SetHandle(CallHandle(waiting, 1));
    // Many rounds, for the cancelling falls before, into or behind the move by chance.
    std::thread canceller([&] { context.Cancel(); });
    ContextWriter(context).SetHandle(CallHandle(session, 2));
    canceller.join();
    // The carrier that had it last was told, be it as well as the one before.
    EXPECT_EQ(session->cancelled(), Ids{2});
  }
}

}  // namespace
}  // namespace weft::internal
