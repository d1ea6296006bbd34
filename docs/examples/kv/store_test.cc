// The parts of the store that need no network: versions, copies, memory, lives.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lives.h"
#include "memory.h"
#include "register_store.h"
#include "up_peers.h"
#include "version.h"

namespace weft::examples::kv {
namespace {

Version VersionOf(uint64_t number, const std::string& writer, uint64_t life = 1) {
  Version version;
  version.set_number(number);
  version.set_writer(writer);
  version.set_life(life);
  return version;
}

Entry EntryOf(const std::string& key, uint64_t number, const std::string& writer = "a") {
  Entry entry;
  entry.set_key(key);
  *entry.mutable_version() = VersionOf(number, writer);
  entry.set_value(key + std::to_string(number) + writer);
  return entry;
}

Life LifeOf(const std::string& node, uint64_t life) {
  Life l;
  l.set_node(node);
  l.set_life(life);
  return l;
}

// Two nodes must choose the same one of two versions, whatever they saw first: the order is total,
// and equal only with itself.
TEST(VersionTest, NumbersGoBeforeWritersAndWritersBeforeLives) {
  // The fields that weigh less run against the order: (1, "a", 9) is older than (1, "b", 3) though
  // its life is later.
  const std::vector<Version> rising = {Version(), VersionOf(1, "a", 9), VersionOf(1, "b", 3),
                                       VersionOf(1, "b", 4), VersionOf(2, "a", 1)};
  for (size_t i = 0; i < rising.size(); ++i) {
    for (size_t j = 0; j < rising.size(); ++j) {
      EXPECT_EQ(Compare(rising[i], rising[j]), i <=> j) << i << " and " << j;
    }
  }
}

TEST(RegisterStoreTest, TakesOnlyWhatIsNewer) {
  RegisterStore store;
  EXPECT_EQ(store.Find("k"), nullptr);
  EXPECT_TRUE(store.Merge(EntryOf("k", 2)));
  // A later writer does not make up for a smaller number.
  EXPECT_FALSE(store.Merge(EntryOf("k", 1, "z")));
  // The same entry again, as a repeated write or a second stream brings it.
  EXPECT_FALSE(store.Merge(EntryOf("k", 2)));
  EXPECT_TRUE(store.Merge(EntryOf("k", 2, "b")));
  EXPECT_EQ(store.Find("k")->value(), "k2b");
  EXPECT_EQ(store.size(), 1u);
}

TEST(RegisterStoreTest, CopiesAreTheSameInWhateverOrderTheyTookTheEntries) {
  std::vector<Entry> entries;
  for (uint64_t number = 1; number <= 3; ++number) {
    for (const char* writer : {"a", "b"}) entries.push_back(EntryOf("k", number, writer));
  }
  // All 720 orders: a copy must not depend on the way that entries came.
  std::vector<size_t> order = {0, 1, 2, 3, 4, 5};
  do {
    RegisterStore store;
    for (const size_t i : order) store.Merge(entries[i]);
    ASSERT_EQ(store.Find("k")->value(), "k3b");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(RegisterStoreTest, WhatWasTakenComesInPieces) {
  RegisterStore store;
  for (const char* key : {"a", "b", "c"}) store.Merge(EntryOf(key, 1));
  uint64_t upto = 0;
  // A piece of 2 of 3 entries: the rest has to come with the next one.
  EXPECT_EQ(store.TakenAfter(&upto, 2).size(), 2u);
  store.Merge(EntryOf("a", 2));  // an entry streamed before is news again
  std::vector<const Entry*> rest = store.TakenAfter(&upto, 10);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[0]->key(), "c");
  EXPECT_EQ(rest[1]->value(), "a2a");
  EXPECT_TRUE(store.TakenAfter(&upto, 10).empty());
}

TEST(MemoryTest, AnyEnoughOthersMeetEveryMajority) {
  // The first line says that so many others cannot all lack a write of a majority; the second that
  // one fewer could.
  for (int members = 3; members <= 9; ++members) {
    const int majority = Want::Majority().CountOf(members);
    // The others that have a write: its majority without the node that has lost it.
    EXPECT_GT(Memory::NeededOf(members) + (majority - 1), members - 1) << members;
    EXPECT_EQ(Memory::NeededOf(members) - 1 + (majority - 1), members - 1) << members;
  }
}

TEST(MemoryTest, IsWholeWhenEnoughDifferentOthersAreMerged) {
  Memory memory(5, /*nothing_to_lose=*/false);
  EXPECT_EQ(memory.state(), MemoryState::kLost);
  memory.Merged("b");
  // The same node twice counts once: its copy holds no more than before.
  memory.Merged("b");
  memory.Merged("c");
  EXPECT_EQ(memory.state(), MemoryState::kMerging);
  memory.Merged("d");
  EXPECT_TRUE(memory.whole());
}

TEST(MemoryTest, ANodeOfAClusterThatBeginsIsWhole) {
  EXPECT_TRUE(Memory(3, /*nothing_to_lose=*/true).whole());
}

TEST(MemoryTest, NeverLosesWhatItHas) {
  using enum MemoryState;
  for (const MemoryState from : {kLost, kMerging, kWhole}) {
    for (const MemoryState to : {kLost, kMerging, kWhole}) {
      // States only go forwards: a node that was whole never refuses to answer again.
      EXPECT_EQ(Memory::MayGo(from, to), from < to) << Memory::Name(from) << Memory::Name(to);
    }
  }
}

// A node's own view of the others, as its events change it.
class UpPeersTest : public testing::Test {
 protected:
  static void Tell(UpPeers& peers, const std::string& peer, PeerState state) {
    NodeEvent event;
    event.kind = NodeEvent::Kind::kPeer;
    event.peer = peer;
    event.state = state;
    peers.OnEvent(event);
  }
  static UpPeers* AllUp(UpPeers* peers, const std::vector<std::string>& others) {
    for (const std::string& other : others) Tell(*peers, other, PeerState::kUp);
    return peers;
  }

  UpPeers a_{"a", 3}, b_{"b", 3};
};

TEST_F(UpPeersTest, TheSmallestNameThatIsUpLeads) {
  EXPECT_EQ(a_.Leader(), "") << "it reaches nobody yet";
  AllUp(&a_, {"b", "c"});
  AllUp(&b_, {"a", "c"});
  EXPECT_EQ(a_.Leader(), "a");
  EXPECT_EQ(b_.Leader(), "a");
  Tell(b_, "a", PeerState::kDown);
  EXPECT_EQ(b_.Leader(), "b");
}

TEST_F(UpPeersTest, ALeaderThatIsCutOffStepsDownBeforeTheOthersHaveAnother) {
  AllUp(&a_, {"b", "c"});
  AllUp(&b_, {"a", "c"});
  Tell(a_, "b", PeerState::kSuspect);
  EXPECT_EQ(a_.Leader(), "a") << "with c it is a majority";
  Tell(a_, "c", PeerState::kSuspect);
  Tell(b_, "a", PeerState::kSuspect);
  EXPECT_EQ(a_.Leader(), "");
  EXPECT_EQ(b_.Leader(), "a") << "it has none of its own before it calls a down";
  Tell(b_, "a", PeerState::kDown);
  EXPECT_EQ(b_.Leader(), "b");
  // Down does not change a's verdict: it had stepped down when no majority was left.
  Tell(a_, "b", PeerState::kDown);
  Tell(a_, "c", PeerState::kDown);
  EXPECT_EQ(a_.Leader(), "");
  Tell(a_, "c", PeerState::kUp);
  EXPECT_EQ(a_.Leader(), "a");
}

TEST(LivesTest, ALaterLifeIsRemembered) {
  Lives lives;
  lives.Learn(LifeOf("a", 5));
  // An older message that was overtaken on its way.
  lives.Learn(LifeOf("a", 3));
  EXPECT_EQ(lives.Of("a"), 5u);
  EXPECT_EQ(lives.Of("b"), 0u);
}

TEST(LivesTest, ASenderThatDoesNotKnowALifeIsTold) {
  Lives lives;
  lives.Learn(LifeOf("a", 5));
  lives.Learn(LifeOf("b", 1));
  Lives::List theirs;
  lives.AddTo(&theirs);
  EXPECT_EQ(lives.LaterThan(theirs), "");
  // A sender that knows more than this node is not behind.
  theirs[0].set_life(6);
  EXPECT_EQ(lives.LaterThan(theirs), "");
  theirs[0].set_life(4);
  EXPECT_EQ(lives.LaterThan(theirs), "a");
  EXPECT_EQ(lives.LaterThan({}), "a");
}

}  // namespace
}  // namespace weft::examples::kv
