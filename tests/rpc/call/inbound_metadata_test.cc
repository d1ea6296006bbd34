// The metadata of an inbound call, parsed at its first use.
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
  // A key of 65,535 bytes is announced, and one byte follows.
  metadata.Set(std::string(3, '\xff'));
  EXPECT_FALSE(metadata.Parse().ok());
  // The result is kept: each part of the handler's side may ask.
  EXPECT_FALSE(metadata.Parse().ok());
  metadata.Reset();
  EXPECT_TRUE(metadata.Parse().ok());
}

}  // namespace
}  // namespace weft::internal
