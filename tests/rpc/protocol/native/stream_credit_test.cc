// Credit in both directions, counted without a connection: streams are ports that no call has
// opened.
#include "weft/rpc/protocol/native/stream_credit.h"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Credit goes back in quarters of these: 100 and 250.
constexpr size_t kStreamWindow = 400;
constexpr size_t kConnectionWindow = 1'000;

class StreamCreditTest : public testing::Test {
 protected:
  static std::shared_ptr<StreamPort> Port(int64_t credit) {
    auto port = std::make_shared<StreamPort>();
    NativeStream::Begin(*port, nullptr, kStreamWindow).credit = credit;
    return port;
  }
  static NativeStream& Of(const std::shared_ptr<StreamPort>& port) {
    return NativeStream::Of(*port);
  }

  StreamCredit credit_{kStreamWindow, kConnectionWindow};
};

TEST_F(StreamCreditTest, IsAStreamsAndTheConnectionsTogether) {
  const auto a = Port(10), b = Port(10);
  EXPECT_FALSE(credit_.Has(Of(a)));  // none of the connection's
  credit_.Begin(15);
  EXPECT_TRUE(credit_.Has(Of(a)));
  credit_.Spend(Of(a), 12);  // a message may be larger than what is left
  EXPECT_FALSE(credit_.Has(Of(a)));
  EXPECT_TRUE(credit_.Has(Of(b)));
  // The stream has 10, but these were the last 3 of the connection.
  credit_.Spend(Of(b), 3);
  EXPECT_FALSE(credit_.Has(Of(b)));
  bool first;
  EXPECT_TRUE(credit_.AddToConnection(5, &first));
  EXPECT_TRUE(first);
  EXPECT_TRUE(credit_.Has(Of(b)));
  EXPECT_FALSE(credit_.Has(Of(a)));
  // The 12 that were spent were 2 more than there was: 2 bring it to 0, which is no credit.
  EXPECT_TRUE(credit_.Add(Of(a), 2));
  EXPECT_FALSE(credit_.Has(Of(a)));
  EXPECT_TRUE(credit_.Add(Of(a), 1));
  EXPECT_TRUE(credit_.Has(Of(a)));
  EXPECT_TRUE(credit_.AddToConnection(5, &first));
  // Writers wait only while there is no credit: more of it wakes nobody.
  EXPECT_FALSE(first);
}

TEST_F(StreamCreditTest, IsRefusedWhereThereIsMoreThanCanBe) {
  const auto port = Port(0);
  // 2 GiB are the most that there can be.
  EXPECT_TRUE(credit_.Add(Of(port), uint32_t{1} << 31));
  EXPECT_FALSE(credit_.Add(Of(port), 1));
  bool first;
  EXPECT_TRUE(credit_.AddToConnection(uint32_t{1} << 31, &first));
  EXPECT_FALSE(credit_.AddToConnection(1, &first));
}

TEST_F(StreamCreditTest, KeepsWritersThatWaitInTheirOrderOnceEach) {
  const auto a = Port(0), b = Port(0), c = Port(0);
  credit_.Park(*a);
  credit_.Park(*b);
  credit_.Park(*a);
  credit_.Park(*c);
  EXPECT_TRUE(Of(a).wants_room);
  // Only b has to wait on.
  EXPECT_THAT(credit_.TakeReady([&](StreamPort& port) { return &port == b.get(); }),
              ElementsAre(a, c));
  EXPECT_FALSE(Of(a).wants_room);
  EXPECT_TRUE(Of(b).wants_room);
  credit_.Park(*c);
  credit_.StopWaiting(*b);
  EXPECT_FALSE(Of(b).wants_room);
  credit_.StopWaiting(*b);  // it does not wait
  EXPECT_THAT(credit_.TakeWaiting(), ElementsAre(c));
  EXPECT_THAT(credit_.TakeWaiting(), IsEmpty());
}

TEST_F(StreamCreditTest, IsGivenBackByAQuarterOfAWindow) {
  const auto port = Port(0);
  EXPECT_EQ(credit_.ReturnToStream(Of(port), 99), 0u);
  EXPECT_EQ(credit_.ReturnToStream(Of(port), 1), 100u);
  EXPECT_EQ(credit_.ReturnToStream(Of(port), 1), 0u);
  EXPECT_EQ(Of(port).receive_credit.load(), static_cast<int64_t>(kStreamWindow) + 100);
  EXPECT_EQ(credit_.Return(249), 0u);
  EXPECT_EQ(credit_.Return(51), 300u);
  EXPECT_EQ(credit_.Return(249), 0u);
}

TEST_F(StreamCreditTest, OfThePeerIsChargedUntilThereIsNone) {
  EXPECT_TRUE(credit_.Charge(999));
  // A message may begin with the last byte of credit.
  EXPECT_TRUE(credit_.Charge(500));
  EXPECT_FALSE(credit_.Charge(1));
  // 1,500 are charged, also for the message that had no credit.
  EXPECT_EQ(credit_.Return(1'500), 1'500u);
  EXPECT_TRUE(credit_.Charge(1));
}

}  // namespace
}  // namespace weft::internal::native
