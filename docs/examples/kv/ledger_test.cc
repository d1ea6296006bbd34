// Tests which writes count as lost.
#include "ledger.h"

#include <gtest/gtest.h>

namespace weft::examples::kv {
namespace {

TEST(LedgerTest, AWriteIsLostWhereAnOlderOneIsRead) {
  Ledger ledger;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ledger.Begin("k"), i);
  ledger.Acknowledge("k", 0);
  ledger.Acknowledge("k", 2);
  EXPECT_EQ(ledger.Newest("k"), 2);
  EXPECT_EQ(ledger.LostIn("k", Ledger::kNothing), 2);
  EXPECT_EQ(ledger.LostIn("k", 0), 1);
  EXPECT_EQ(ledger.LostIn("k", 1), 1);
  EXPECT_EQ(ledger.LostIn("k", 2), 0);
  EXPECT_EQ(ledger.LostIn("k", 3), 0);  // was not answered, and may be there
  EXPECT_EQ(ledger.acknowledged(), 2);
}

TEST(LedgerTest, AKeyWithoutAcknowledgedWritesLosesNothing) {
  Ledger ledger;
  ledger.Begin("k");
  EXPECT_EQ(ledger.Newest("k"), Ledger::kNothing);
  EXPECT_EQ(ledger.LostIn("k", Ledger::kNothing), 0);
  EXPECT_EQ(ledger.LostIn("other", Ledger::kNothing), 0);
  EXPECT_TRUE(ledger.keys().empty());
}

TEST(LedgerTest, TheNumberIsInTheValue) {
  EXPECT_EQ(Ledger::NumberIn(Ledger::ValueOf(17)), 17);
  EXPECT_EQ(Ledger::NumberIn(""), Ledger::kNothing);
  EXPECT_EQ(Ledger::NumberIn("v"), Ledger::kNothing);
}

}  // namespace
}  // namespace weft::examples::kv
