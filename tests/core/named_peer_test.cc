// A peer's name stands once in a text, and as a whole.
#include "weft/core/named_peer.h"

#include <chrono>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

TEST(NamedPeer, StandsAtTheEnd) {
  EXPECT_EQ(NamedPeer::AtEnd("read: reset", "to", "10.0.0.1:80"), "read: reset (to 10.0.0.1:80)");
  EXPECT_EQ(NamedPeer::AtEnd("", "from", "unix:/s"), " (from unix:/s)");
}

TEST(NamedPeer, StandsBeforeTheTimeThatItTook) {
  EXPECT_EQ(NamedPeer::Ending("to", "10.0.0.1:80"), " (to 10.0.0.1:80)");
  EXPECT_EQ(NamedPeer::Ending("from", "unix:/s", std::chrono::microseconds(1500)),
            " (from unix:/s, after 1.5 ms)");
}

TEST(NamedPeer, StandsOnce) {
  for (const char* text : {"refused (to 10.0.0.1:80, after 3.0 ms)", "10.0.0.1:80: refused",
                           "no answer from 10.0.0.1:80", "10.0.0.1:80"}) {
    EXPECT_EQ(NamedPeer::AtEnd(text, "to", "10.0.0.1:80"), text);
  }
}

TEST(NamedPeer, IsNoPartOfAnotherName) {
  for (const char* text : {"refused (to 10.0.0.1:8000)", "to 110.0.0.1:80", "10.0.0.1:80a"}) {
    EXPECT_FALSE(NamedPeer::In(text, "10.0.0.1:80")) << text;
  }
  // The first place is part of another name: the search goes on.
  EXPECT_TRUE(NamedPeer::In("10.0.0.1:8000, 10.0.0.1:80", "10.0.0.1:80"));
}

TEST(NamedPeer, NoPeerIsNotNamed) { EXPECT_EQ(NamedPeer::AtEnd("a stop", "to", ""), "a stop"); }

}  // namespace
}  // namespace weft::internal
