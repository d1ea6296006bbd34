#include "weft/rpc/call/inbound_metadata.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(InboundMetadata, ThatDidNotComeIsEmpty) {
  InboundMetadata metadata;
  EXPECT_TRUE(metadata.Parse().ok());
  EXPECT_TRUE(metadata.metadata().empty());
}

TEST(InboundMetadata, ThatCannotBeReadSaysSoUntilTheNextCall) {
  InboundMetadata metadata;
  metadata.Set(std::string(3, '\xff'));
  EXPECT_FALSE(metadata.Parse().ok());
  EXPECT_FALSE(metadata.Parse().ok());
  metadata.Reset();
  EXPECT_TRUE(metadata.Parse().ok());
}

}  // namespace
}  // namespace weft::internal
