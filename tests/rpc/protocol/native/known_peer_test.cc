// The facts of a connection's peer, kept in parts and put together again.
#include "weft/rpc/protocol/native/known_peer.h"

#include <string>

#include <gtest/gtest.h>

namespace weft::internal::native {
namespace {

TEST(KnownPeer, HasItsAddressAndIdentityWithoutAName) {
  const std::string address = "10.0.0.7:7000";
  KnownPeer peer;
  peer.Set({.address = address, .identity = "blue", .protocol = "native", .wire_version = 1});
  EXPECT_EQ(peer.identity(), "blue");
  // The address is the connection's own, and is not kept a second time.
  const ConnectedPeer whole = peer.whole(address);
  EXPECT_EQ(whole.address, address);
  EXPECT_EQ(whole.identity, "blue");
  EXPECT_EQ(whole.protocol, "native");
  EXPECT_EQ(whole.wire_version, 1u);
  // The peer has said nothing of itself, so these facts were never allocated.
  EXPECT_EQ(whole.incarnation, 0u);
}

TEST(KnownPeer, HasNoIdentityUnlessItIsGivenOne) {
  KnownPeer peer;
  EXPECT_EQ(peer.identity(), "");
  peer.Set({.address = "10.0.0.7:7000", .protocol = "native", .wire_version = 1});
  EXPECT_EQ(peer.identity(), "");
  EXPECT_EQ(peer.whole("10.0.0.7:7000").identity, "");
}

TEST(KnownPeer, KeepsWhatItSaysOfItself) {
  const std::string address = "10.0.0.7:7000";
  KnownPeer peer;
  peer.Set({.address = address,
            .identity = "blue",
            .node = "n1",
            .cluster = "c",
            .incarnation = 5,
            .protocol = "native",
            .wire_version = 1});
  const ConnectedPeer whole = peer.whole(address);
  EXPECT_EQ(whole.node, "n1");
  EXPECT_EQ(whole.cluster, "c");
  EXPECT_EQ(whole.incarnation, 5u);
  EXPECT_EQ(whole.identity, "blue");
  EXPECT_EQ(whole.address, address);
  EXPECT_EQ(whole.protocol, "native");
  EXPECT_EQ(whole.wire_version, 1u);
}

}  // namespace
}  // namespace weft::internal::native
