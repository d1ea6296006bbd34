#include "weft/rpc/protocol/native/message_assembly.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "weft/rpc/call/inbound_call.h"

namespace weft::native {
namespace {

// These tests have no loop: one thread is as good as it.
void BeTheLoop() WEFT_ASSERT_CAPABILITY(on_loop) {}

// A message of `whole` bytes whose first frame holds `first`.
Payload Sized(uint32_t whole, std::string_view first) {
  Payload payload;
  payload.whole_size = whole;
  payload.bytes = first;
  return payload;
}

TEST(MessageAssembly, PutsPiecesTogether) {
  BeTheLoop();
  LargeBlocks blocks;
  MessageAssembly messages(100, blocks);
  Assembly* a = messages.Begin(1, false, Sized(10, "abc"));
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->missing(), 7u);
  a->Add("defg", 4);
  EXPECT_EQ(messages.Find(1, false), a);
  a->Add("hij", 3);
  EXPECT_EQ(a->missing(), 0u);
  EXPECT_EQ(std::string(a->block->data(), a->whole), "abcdefghij");
  messages.End(1, false);
  EXPECT_EQ(messages.Find(1, false), nullptr);
}

TEST(MessageAssembly, KeepsRequestsAndRepliesOfOneNumberApart) {
  BeTheLoop();
  LargeBlocks blocks;
  MessageAssembly messages(100, blocks);
  Assembly* request = messages.Begin(7, false, Sized(10, "q"));
  Assembly* reply = messages.Begin(7, true, Sized(20, "r"));
  ASSERT_NE(request, reply);
  EXPECT_EQ(messages.Find(7, false), request);
  EXPECT_EQ(messages.Find(7, true), reply);
  EXPECT_FALSE(messages.Contains(8, true));
  messages.End(7, false);
  EXPECT_TRUE(messages.Contains(7, true));
  EXPECT_FALSE(messages.Contains(7, false));
}

TEST(MessageAssembly, BoundsAllUnfinishedMessagesTogether) {
  BeTheLoop();
  LargeBlocks blocks;
  MessageAssembly messages(100, blocks);
  EXPECT_NE(messages.Begin(1, false, Sized(60, "")), nullptr);
  EXPECT_EQ(messages.Begin(2, false, Sized(41, "")), nullptr);
  EXPECT_FALSE(messages.Contains(2, false)) << "what was refused takes nothing";
  EXPECT_NE(messages.Begin(3, true, Sized(40, "")), nullptr);
  EXPECT_EQ(messages.Begin(4, false, Sized(1, "")), nullptr);
  messages.End(1, false);
  messages.End(1, false);  // once is enough
  messages.End(99, true);  // never begun
  EXPECT_EQ(messages.Begin(5, false, Sized(61, "")), nullptr);
  EXPECT_NE(messages.Begin(5, false, Sized(60, "")), nullptr);
  messages.Clear();
  EXPECT_NE(messages.Begin(6, false, Sized(100, "")), nullptr);
  EXPECT_EQ(messages.most_bytes(), 100u);
}

TEST(MessageAssembly, StaysInItsPlaceWhileOthersComeAndGo) {
  BeTheLoop();
  LargeBlocks blocks;
  MessageAssembly messages(1 << 20, blocks);
  Assembly* first = messages.Begin(1, false, Sized(100, "first"));
  char* const place = first->end();
  for (uint64_t id = 2; id < 2'000; ++id) messages.Begin(id, id % 2 == 0, Sized(10, ""));
  EXPECT_EQ(messages.Find(1, false), first);
  EXPECT_EQ(first->end(), place);
}

TEST(MessageAssembly, ListsTheCallsOfUnfinishedRequests) {
  BeTheLoop();
  LargeBlocks blocks;
  MessageAssembly messages(100, blocks);
  // Only addresses are handed on.
  auto* one = reinterpret_cast<InboundCall*>(uintptr_t{64});
  auto* two = reinterpret_cast<InboundCall*>(uintptr_t{128});
  messages.Begin(1, false, Sized(10, ""))->call = one;
  messages.Begin(2, false, Sized(10, ""))->call = two;
  messages.Begin(3, true, Sized(10, ""));
  messages.Begin(4, false, Sized(10, ""))->call = two;
  messages.End(4, false);
  std::multiset<InboundCall*> seen;
  messages.ForEachCall([&](InboundCall& call) { seen.insert(&call); });
  EXPECT_EQ(seen, (std::multiset<InboundCall*>{one, two}));
}

}  // namespace
}  // namespace weft::native
