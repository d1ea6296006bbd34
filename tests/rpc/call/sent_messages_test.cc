// The messages that a client's stream keeps until a server has said something of it: their order,
// and when they are no longer kept.
#include "weft/rpc/call/sent_messages.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/protos/rows.pb.h"

namespace weft::test {

using namespace internal;

namespace {

Row RowOf(int64_t number, size_t bytes = 0) {
  Row row;
  row.set_number(number);
  row.set_data(std::string(bytes, 'd'));
  return row;
}

class SentMessagesKept : public testing::Test {
 protected:
  SentMessagesKept() { Begin(); }
  // A carrier, and nothing to send again before new messages go.
  void Begin() {
    sent.Bind();
    EXPECT_TRUE(sent.Open());
  }
  bool Add(const Row& row, bool last = false) {
    std::string_view bytes;
    if (!sent.Add(row, nullptr, last, &bytes)) return false;
    EXPECT_EQ(bytes, row.SerializeAsString());
    return true;
  }
  // Returns the messages to be sent, at most so many; negative: the last one.
  std::vector<int64_t> Again(size_t most = 100) {
    std::vector<int64_t> numbers;
    SentMessages::Message next;
    while (numbers.size() < most && sent.Next(&next)) {
      Row row;
      EXPECT_TRUE(row.ParseFromArray(next.bytes.data(), static_cast<int>(next.bytes.size())));
      numbers.push_back(next.last ? -row.number() : row.number());
      sent.SentNext();
    }
    return numbers;
  }

  SentMessages sent;
};

TEST_F(SentMessagesKept, GoAgainInTheirOrderToEachCarrier) {
  EXPECT_TRUE(Again().empty());
  ASSERT_TRUE(sent.open());
  for (int64_t i = 1; i <= 3; ++i) EXPECT_TRUE(Add(RowOf(i), i == 3));
  for (uint32_t turn = 1; turn <= 2; ++turn) {
    ASSERT_TRUE(sent.Unbind());
    EXPECT_EQ(sent.turn(), turn);
    EXPECT_FALSE(sent.open());
    Begin();
    EXPECT_FALSE(sent.open()) << "what was sent goes first";
    EXPECT_EQ(Again(), (std::vector<int64_t>{1, 2, -3}));
    EXPECT_TRUE(sent.open());
  }
}

TEST_F(SentMessagesKept, GoAgainFromTheFirstOneWhenACarrierIsLostHalfWay) {
  EXPECT_TRUE(Again().empty());
  for (int64_t i = 1; i <= 3; ++i) EXPECT_TRUE(Add(RowOf(i)));
  ASSERT_TRUE(sent.Unbind());
  Begin();
  // Lost before the third: the next carrier knows nothing of the first two.
  EXPECT_EQ(Again(2), (std::vector<int64_t>{1, 2}));
  ASSERT_TRUE(sent.Unbind());
  EXPECT_FALSE(sent.sending_again());
  Begin();
  EXPECT_EQ(Again(), (std::vector<int64_t>{1, 2, 3}));
}

TEST_F(SentMessagesKept, GoAgainWithTheirAttachments) {
  EXPECT_TRUE(Again().empty());
  std::string_view bytes;
  const absl::Cord one("one"), three("three");
  ASSERT_TRUE(sent.Add(RowOf(1), &one, false, &bytes));
  ASSERT_TRUE(sent.Add(RowOf(2), nullptr, false, &bytes));
  // Taken back below with its attachment: the third message must not get it.
  ASSERT_TRUE(sent.Add(RowOf(9), &one, false, &bytes));
  sent.TakeBack();
  ASSERT_TRUE(sent.Add(RowOf(3), &three, true, &bytes));
  for (int turn = 0; turn < 2; ++turn) {
    ASSERT_TRUE(sent.Unbind());
    Begin();
    SentMessages::Message next;
    for (const absl::Cord* attachment : {&one, static_cast<const absl::Cord*>(nullptr), &three}) {
      ASSERT_TRUE(sent.Next(&next));
      ASSERT_EQ(next.attachment != nullptr, attachment != nullptr);
      if (attachment != nullptr) {
        EXPECT_EQ(*next.attachment, *attachment);
      }
      sent.SentNext();
    }
    EXPECT_FALSE(sent.Next(&next));
  }
}

TEST_F(SentMessagesKept, AttachmentsCountAsMessagesDo) {
  EXPECT_TRUE(Again().empty());
  std::string_view bytes;
  const absl::Cord large(std::string(SentMessages::kMax - 100, 'a'));
  ASSERT_TRUE(sent.Add(RowOf(1), &large, false, &bytes));
  // Without the attachment's bytes this message would fit.
  EXPECT_FALSE(sent.Add(RowOf(2, 100), nullptr, false, &bytes));
}

TEST_F(SentMessagesKept, LeavesOutWhatWasTakenBack) {
  EXPECT_TRUE(Again().empty());
  EXPECT_TRUE(Add(RowOf(1)));
  EXPECT_TRUE(Add(RowOf(2, 100)));
  sent.TakeBack();
  EXPECT_TRUE(Add(RowOf(3)));
  ASSERT_TRUE(sent.Unbind());
  Begin();
  EXPECT_EQ(Again(), (std::vector<int64_t>{1, 3}));
}

TEST_F(SentMessagesKept, AreNoneOnceTheyWouldBeTooMany) {
  EXPECT_TRUE(Again().empty());
  // There is room for this one. With the next it would be more than kMax.
  EXPECT_TRUE(Add(RowOf(1, SentMessages::kMax - 100)));
  EXPECT_TRUE(sent.keeps());
  EXPECT_FALSE(Add(RowOf(2, 100)));
  EXPECT_FALSE(sent.keeps());
  EXPECT_FALSE(Add(RowOf(3))) << "not even a small one";
  EXPECT_FALSE(sent.Unbind());
  EXPECT_TRUE(sent.open());
}

TEST_F(SentMessagesKept, GoToTheirEndAlsoWhenTheCallIsToStay) {
  EXPECT_TRUE(Again().empty());
  for (int64_t i = 1; i <= 3; ++i) EXPECT_TRUE(Add(RowOf(i)));
  ASSERT_TRUE(sent.Unbind());
  Begin();
  EXPECT_EQ(Again(1), std::vector<int64_t>{1});
  // Nothing new is kept, but the carrier has not got the last two yet.
  sent.Forget();
  EXPECT_FALSE(sent.Unbind());
  EXPECT_EQ(Again(), (std::vector<int64_t>{2, 3}));
  EXPECT_TRUE(sent.open());
}

TEST_F(SentMessagesKept, StayWhileTheyAreUsed) {
  EXPECT_TRUE(Again().empty());
  std::string_view bytes;
  // A send is under way with the bytes, while another thread ends the keeping.
  sent.Use();
  ASSERT_TRUE(sent.Add(RowOf(1, 1000), nullptr, false, &bytes));
  const std::string copy(bytes);
  sent.Forget();
  EXPECT_EQ(bytes, copy);
  sent.Unuse();
  EXPECT_FALSE(sent.keeps());
}

TEST_F(SentMessagesKept, OpenOncePerCarrier) {
  EXPECT_FALSE(sent.Open()) << "twice";
  ASSERT_TRUE(sent.Unbind());
  EXPECT_FALSE(sent.Open()) << "without a carrier";
}

}  // namespace
}  // namespace weft::test
