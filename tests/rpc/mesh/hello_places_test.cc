// Places for connections that have not said Hello. Connections are numbered from 1 in the order in
// which they come.
#include "weft/rpc/mesh/hello_places.h"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

class HelloPlacesTest : public testing::Test {
 protected:
  // The number of the connection that goes for it; 0: none.
  uint64_t Enter(const std::string& host) {
    SessionRef victim;
    return places_.Enter({0, ++last_}, absl::StrCat(host, ":", 40'000 + last_), &victim) ? victim.id
                                                                                         : 0;
  }
  // Of different addresses, 16 of each.
  void Fill(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(Enter(absl::StrCat("10.1.0.", i / HelloPlaces::kEach)), 0u);
    }
  }

  HelloPlaces places_;
  uint64_t last_ = 0;
};

TEST_F(HelloPlacesTest, OfOneForeignAddressTheOldestGoes) {
  for (size_t i = 0; i < HelloPlaces::kEach; ++i) EXPECT_EQ(Enter("10.0.0.1"), 0u);
  // Another address has places of its own, and does not become the oldest of the first.
  EXPECT_EQ(Enter("10.0.0.2"), 0u);
  EXPECT_EQ(Enter("10.0.0.1"), 1u);
  EXPECT_EQ(Enter("10.0.0.1"), 2u);
  EXPECT_EQ(places_.taken(), HelloPlaces::kEach + 1);
}

TEST_F(HelloPlacesTest, WhereAllAreTakenTheOldestForeignOneGoes) {
  Fill(HelloPlaces::kEverybodys);
  EXPECT_EQ(Enter("10.2.0.1"), 1u);
  EXPECT_EQ(Enter("10.2.0.2"), 2u);
  EXPECT_EQ(places_.taken(), HelloPlaces::kEverybodys);
}

TEST_F(HelloPlacesTest, AMemberHasPlacesBesideThose) {
  places_.SetMembers({"10.9.0.1"});
  Fill(HelloPlaces::kEverybodys);
  for (size_t i = 0; i < HelloPlaces::kMembers; ++i) EXPECT_EQ(Enter("10.9.0.1"), 0u);
  EXPECT_EQ(Enter("10.9.0.1"), 1u) << "then a foreign one goes for it";
}

TEST_F(HelloPlacesTest, WhereMembersHaveThemAllNobodyGoes) {
  places_.SetMembers({"10.9.0.1"});
  for (size_t i = 0; i < HelloPlaces::kEverybodys + HelloPlaces::kMembers + 5; ++i) {
    EXPECT_EQ(Enter("10.9.0.1"), 0u);
  }
}

TEST_F(HelloPlacesTest, APlaceThatIsLeftIsFree) {
  Fill(HelloPlaces::kEverybodys);
  places_.Leave(5);
  // Leaving twice frees one place: both the Hello and the end of a connection leave.
  places_.Leave(5);
  EXPECT_EQ(Enter("10.2.0.1"), 0u);
  EXPECT_EQ(Enter("10.2.0.1"), 1u);
}

TEST_F(HelloPlacesTest, KnowsHostsByTheirText) {
  EXPECT_EQ(HelloPlaces::HostOf("10.0.0.7:7000"), "10.0.0.7");
  EXPECT_EQ(HelloPlaces::HostOf("[fe80::1]:7000"), "fe80::1");
  EXPECT_EQ(HelloPlaces::HostOf("unix:/run/x.sock"), "");
  EXPECT_EQ(HelloPlaces::HostOf("inproc:a"), "");
  EXPECT_EQ(HelloPlaces::HostOf("unix"), "");
}

}  // namespace
}  // namespace weft::internal
