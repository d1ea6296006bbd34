// The order in which a dial tries the addresses of a target, after the results of earlier dials.
// Nothing is dialled: the tests say which address connected, failed or was slow.
#include "weft/core/candidate_addresses.h"

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Loopback addresses are all of one family and have a route on every machine, so they are tried in
// the order in which they were found.
SocketAddress At(int last) { return *SocketAddress::Parse(absl::StrCat("127.0.0.", last, ":80")); }

class CandidateAddressesTest : public testing::Test {
 protected:
  void Add(const std::vector<int>& lasts) {
    std::vector<SocketAddress> found;
    for (const int last : lasts) found.push_back(At(last));
    addresses_.Add(found);
  }
  std::vector<std::string> TakeAll() {
    std::vector<std::string> taken;
    while (!addresses_.empty()) taken.push_back(addresses_.TakeNext().ToString());
    return taken;
  }

  CandidateAddresses addresses_;
};

TEST_F(CandidateAddressesTest, EachOnceInTheOrderInWhichTheyWereFound) {
  addresses_.Begin();
  Add({3, 1, 3, 2});
  EXPECT_EQ(addresses_.size(), 3u);
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.3:80", "127.0.0.1:80", "127.0.0.2:80"));
  Add({1, 4});
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.4:80")) << "the other was tried";
}

TEST_F(CandidateAddressesTest, ThoseThatFailedComeLastInLaterDialsTheLongestAgoFirst) {
  addresses_.Begin();
  // The first address fails twice: only its last failure counts.
  addresses_.TryLast(At(1));
  addresses_.TryLast(At(2));
  addresses_.TryLast(At(1));
  addresses_.Begin();
  Add({1, 2, 3});
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.3:80", "127.0.0.2:80", "127.0.0.1:80"));
  // A connection clears the failure; the other failure stays.
  addresses_.SetConnected(At(2));
  addresses_.Begin();
  Add({1, 2, 3});
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.2:80", "127.0.0.3:80", "127.0.0.1:80"));
}

TEST_F(CandidateAddressesTest, AConnectionThatCameToNothingCountsForItsOwnDialOnly) {
  addresses_.Begin();
  Add({1, 2});
  addresses_.SetConnected(addresses_.TakeNext());
  // The connection came to nothing, for example because its handshake failed.
  addresses_.TryConnectedLast();
  addresses_.Begin();
  Add({1, 2});
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.2:80", "127.0.0.1:80"));

  addresses_.SetConnected(At(2));
  addresses_.Begin();
  addresses_.TryConnectedLast();  // this dial has made no connection
  Add({2, 3});
  EXPECT_THAT(TakeAll(), ElementsAre("127.0.0.2:80", "127.0.0.3:80"));
}

TEST_F(CandidateAddressesTest, NothingIsRememberedOfAnAddressThatHadNoOtherBesideIt) {
  addresses_.Begin();
  Add({1});
  addresses_.TryLast(addresses_.TakeNext());
  EXPECT_TRUE(addresses_.remembers()) << "others may still be found in this dial";
  addresses_.Clear();
  EXPECT_FALSE(addresses_.remembers());

  addresses_.Begin();
  Add({1});
  addresses_.SetConnected(addresses_.TakeNext());
  addresses_.Clear();
  // A connector calls this behind Clear: its dial is over when the connection proves useless. The
  // count of the dial's addresses must still be known then.
  addresses_.TryConnectedLast();
  EXPECT_FALSE(addresses_.remembers());

  addresses_.Begin();
  Add({1, 2});
  addresses_.SetConnected(addresses_.TakeNext());
  addresses_.Clear();
  addresses_.TryConnectedLast();
  EXPECT_TRUE(addresses_.remembers());
  addresses_.Begin();
  Add({2});
  addresses_.Clear();
  EXPECT_TRUE(addresses_.remembers()) << "of the other one";
}

TEST_F(CandidateAddressesTest, FurtherOnesThanTheLimitAreNotTried) {
  addresses_.Begin();
  std::vector<int> many;
  for (int i = 1; i <= 100; ++i) many.push_back(i);
  Add(many);
  EXPECT_EQ(addresses_.size(), CandidateAddresses::kMax);
  addresses_.Clear();
  // Clear drops the addresses within the limit too.
  EXPECT_THAT(TakeAll(), IsEmpty());
}

}  // namespace
}  // namespace weft::internal
