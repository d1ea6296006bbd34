// The calls that wait for a link: their numbers, their bytes, and what they keep of their callers.
// There is neither a link nor a loop.
#include "weft/rpc/client/waiting_calls.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/protos/rows.pb.h"
#include "weft/rpc/call/client_context.h"

namespace weft::test {

using namespace internal;

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr MethodInfo kMethod{"weft.test.Rows", "Get", "weft.test.Rows/Get"};
constexpr MessageLimit kMaxMessage{1000, "calling node"};

class Call final : public OutboundCall {
 public:
  explicit Call(const Row& row, const CallOptions& wishes = {})
      : OutboundCall(kMethod, row, wishes) {}

 private:
  void Complete(const CallEnd&) override {}
};

class WaitingCallsTest : public testing::Test {
 protected:
  WaitingCallsTest() { row.set_data(std::string(100, 'x')); }

  Call& NewCall(const CallOptions& wishes = {}) {
    made.push_back(std::make_unique<Call>(row, wishes));
    return *made.back();
  }
  Call& Wait(const CallOptions& wishes = {}) {
    Call& call = NewCall(wishes);
    EXPECT_TRUE(WaitingCalls::Keep(call, kMaxMessage).ok());
    EXPECT_TRUE(calls.Add(call).ok());
    return call;
  }

  Row row;
  std::vector<std::unique_ptr<Call>> made;
  // Bytes: nine rows of the test may wait.
  WaitingCalls calls{1000, "calling node"};
};

TEST_F(WaitingCallsTest, AreTakenByTheirNumbersOnce) {
  Call& first = Wait();
  Call& second = Wait();
  EXPECT_NE(first.wire().id, second.wire().id);
  EXPECT_EQ(calls.Find(second.wire().id), &second);
  EXPECT_EQ(calls.Take(second.wire().id), &second);
  EXPECT_EQ(calls.Find(second.wire().id), nullptr);
  EXPECT_EQ(calls.Take(second.wire().id), nullptr);
  EXPECT_EQ(calls.size(), 1u);
}

TEST_F(WaitingCallsTest, CountTheirBytes) {
  Call& first = Wait();
  Wait();
  EXPECT_EQ(calls.bytes(), 2 * row.ByteSizeLong());
  calls.Take(first.wire().id);
  EXPECT_EQ(calls.bytes(), row.ByteSizeLong());
}

TEST_F(WaitingCallsTest, AreRefusedBeyondTheBytesOfTheLimit) {
  while (calls.bytes() + row.ByteSizeLong() <= 1000) Wait();
  Call& more = NewCall();
  ASSERT_TRUE(WaitingCalls::Keep(more, kMaxMessage).ok());
  const size_t waiting = calls.size();
  const absl::Status refused = calls.Add(more);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("1000 bytes (max_output_bytes of the calling node)"));
  EXPECT_EQ(calls.size(), waiting);
  // One less, and there are bytes for another.
  calls.Take(made.front()->wire().id);
  EXPECT_TRUE(calls.Add(more).ok());
}

TEST_F(WaitingCallsTest, AreRefusedBeyondTheirNumber) {
  row.Clear();
  // The requests are empty, so only their number is a limit.
  for (size_t i = 0; i < WaitingCalls::kMax; ++i) Wait();
  Call& more = NewCall();
  ASSERT_TRUE(WaitingCalls::Keep(more, kMaxMessage).ok());
  EXPECT_EQ(calls.Add(more).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(WaitingCallsTest, ThatALinkGaveBackGoBeforeThoseThatWereNotSent) {
  Call& later = Wait();
  std::vector<uint64_t> in_order;
  for (int i = 0; i < 2; ++i) {
    Call& call = NewCall();
    ASSERT_TRUE(WaitingCalls::Keep(call, kMaxMessage).ok());
    // Marks a call that a link gave back. It was started before all that wait here, so it goes
    // first.
    call.waits().resent = 1;
    ASSERT_TRUE(calls.Add(call).ok());
    in_order.push_back(call.wire().id);
  }
  in_order.push_back(later.wire().id);
  EXPECT_EQ(calls.Numbers(WaitingCalls::Which::kAll), in_order);
}

TEST_F(WaitingCallsTest, KeepTheirRequests) {
  const std::string bytes = row.SerializeAsString();
  Call& call = Wait();
  row.Clear();
  EXPECT_EQ(call.request.form(), OutgoingRequest::Form::kShared);
  EXPECT_EQ(call.request.bytes(), bytes);
}

TEST_F(WaitingCallsTest, LeaveARequestThatStaysWhereItIs) {
  Call& call = NewCall();
  // The caller keeps the message in its place until the call ends: no copy is needed.
  call.request.SetStays();
  ASSERT_TRUE(WaitingCalls::Keep(call, kMaxMessage).ok());
  EXPECT_EQ(call.request.form(), OutgoingRequest::Form::kMessage);
  EXPECT_EQ(call.waits().request_size, row.ByteSizeLong());
}

TEST_F(WaitingCallsTest, KeepTheirMetadata) {
  ClientContext context;
  ASSERT_TRUE(context.metadata().Add("tenant", "blue").ok());
  Call& call = Wait({.context = &context});
  context.metadata().Clear();
  ASSERT_NE(call.metadata(), nullptr);
  EXPECT_EQ(call.metadata()->Get("tenant"), "blue");
}

TEST_F(WaitingCallsTest, RefuseARequestOverTheLimit) {
  Call& call = NewCall();
  const absl::Status refused = WaitingCalls::Keep(call, {50, "calling node"});
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("limit of 50 (max_message_bytes of the calling node)"));
}

TEST_F(WaitingCallsTest, FailInTheOrderInWhichTheyCame) {
  const uint64_t hasty = Wait().wire().id;
  const uint64_t patient = Wait({.wait_for_ready = true}).wire().id;
  Call& given_back = Wait();
  // Behind Add, so that it keeps the number of its arrival.
  given_back.waits().resent = 1;
  EXPECT_THAT(calls.Numbers(WaitingCalls::Which::kAll),
              ElementsAre(hasty, patient, given_back.wire().id));
  EXPECT_THAT(calls.Numbers(WaitingCalls::Which::kFailFast),
              ElementsAre(hasty, given_back.wire().id));
  EXPECT_THAT(calls.Numbers(WaitingCalls::Which::kNew), ElementsAre(hasty));
}

TEST_F(WaitingCallsTest, AreNoneAtFirst) {
  EXPECT_THAT(calls.Numbers(WaitingCalls::Which::kAll), IsEmpty());
  EXPECT_EQ(calls.Find(1), nullptr);
}

}  // namespace
}  // namespace weft::test
