// Messages in pieces and the memory that they take, counted against a budget of 4 MiB.
#include "weft/rpc/protocol/native/reassembler.h"

#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process_resources.h"
#include "weft/rpc/call/inbound_call.h"

namespace weft::internal::native {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr MonoTime kStart{seconds(100)};

// A message of `whole` bytes whose first frame holds `first`.
Payload Sized(size_t whole, std::string_view first) {
  Payload payload;
  payload.whole_size = static_cast<uint32_t>(whole);
  payload.bytes = first;
  return payload;
}

class ReassemblerTest : public testing::Test {
 protected:
  Assembly* Begin(uint64_t id, bool reply, size_t whole, std::string_view first,
                  MonoTime now = kStart) {
    const absl::StatusOr<Assembly*> begun = messages_.Begin(id, reply, Sized(whole, first), now);
    EXPECT_TRUE(begun.ok()) << begun.status();
    return begun.ok() ? *begun : nullptr;
  }
  bool Refused(uint64_t id, bool reply, size_t whole, std::string_view first = "") {
    return absl::IsResourceExhausted(
        messages_.Begin(id, reply, Sized(whole, first), kStart).status());
  }
  // Bytes until it is whole.
  void Complete(Assembly& a) {
    const std::string rest(a.missing(), 'r');
    ASSERT_TRUE(messages_.Add(a, rest.data(), rest.size(), kStart).ok());
  }

  BlockPool blocks_;
  const std::shared_ptr<InputBudget> budget_ = std::make_shared<InputBudget>(4 << 20, "the budget");
  InputAccount account_{{.runtime = nullptr, .server = budget_, .unknown = nullptr}};
  // More than the budget: announcing alone costs nothing.
  Reassembler messages_{256 << 20, blocks_, account_};
};

TEST_F(ReassemblerTest, PutsPiecesTogether) {
  Assembly* a = Begin(1, false, 10, "abc");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->missing(), 7u);
  EXPECT_TRUE(messages_.Add(*a, "defg", 4, kStart).ok());
  EXPECT_EQ(messages_.Find(1, false), a);
  EXPECT_TRUE(messages_.Add(*a, "hij", 3, kStart).ok());
  EXPECT_EQ(a->missing(), 0u);
  EXPECT_EQ(std::string(a->block->data(), a->whole), "abcdefghij");
  messages_.Finish(1, false);
  EXPECT_EQ(messages_.Find(1, false), nullptr);
  EXPECT_EQ(account_.held(), 0u);
}

TEST_F(ReassemblerTest, KeepsRequestsAndRepliesOfOneNumberApart) {
  Assembly* request = Begin(7, false, 10, "q");
  Assembly* reply = Begin(7, true, 20, "r");
  ASSERT_NE(request, reply);
  EXPECT_EQ(messages_.Find(7, false), request);
  EXPECT_EQ(messages_.Find(7, true), reply);
  EXPECT_FALSE(messages_.Contains(8, true));
  messages_.Drop(7, false);
  EXPECT_TRUE(messages_.Contains(7, true));
  EXPECT_FALSE(messages_.Contains(7, false));
}

TEST_F(ReassemblerTest, BoundsWhatIsAnnouncedTogether) {
  Reassembler messages(100, blocks_, account_);
  const auto begin = [&](uint64_t id, bool reply, size_t whole) {
    return messages.Begin(id, reply, Sized(whole, ""), kStart).status();
  };
  EXPECT_TRUE(begin(1, false, 60).ok());
  EXPECT_THAT(std::string(begin(2, false, 41).message()),
              HasSubstr("more than 100 bytes (4 x max_message_bytes)"));
  EXPECT_FALSE(messages.Contains(2, false)) << "what was refused takes nothing";
  EXPECT_TRUE(begin(3, true, 40).ok());
  EXPECT_FALSE(begin(4, false, 1).ok());
  messages.Drop(1, false);
  messages.Drop(1, false);    // once is enough
  messages.Finish(99, true);  // never begun
  EXPECT_FALSE(begin(5, false, 61).ok());
  // The message of 60 bytes that was dropped has left its place.
  EXPECT_TRUE(begin(5, false, 60).ok());
  messages.Clear();
  EXPECT_TRUE(begin(6, false, 100).ok());
  EXPECT_EQ(messages.max_bytes(), 100u);
}

TEST_F(ReassemblerTest, TakesMemoryForWhatHasComeAndNotForWhatIsAnnounced) {
  for (uint64_t id = 1; id <= 4; ++id) Begin(id, false, 63 << 20, "x");
  EXPECT_EQ(account_.held(), 4 * Reassembler::kMinRoom);
  Assembly* a = messages_.Find(1, false);
  const std::string piece(60'000, 'p');
  while (a->filled < 200'000) {
    ASSERT_TRUE(messages_.Add(*a, piece.data(), piece.size(), kStart).ok());
    EXPECT_GE(a->room, a->filled);
    // The room grows with the bytes that came, never much ahead of them.
    EXPECT_LE(a->room, Reassembler::kAhead * a->filled);
  }
  messages_.Clear();
  EXPECT_EQ(account_.held(), 0u);
}

TEST_F(ReassemblerTest, KeepsItsBytesWhileItGrows) {
  Assembly* a = Begin(1, false, 200'000, "0123");
  std::string all = "0123";
  uint64_t n = 0;
  while (a->missing() > 0) {
    // Numbers in a row: a byte that is lost or comes twice is seen.
    std::string piece = std::to_string(n++);
    piece.resize(std::min(piece.size(), a->missing()));
    all += piece;
    ASSERT_TRUE(messages_.Add(*a, piece.data(), piece.size(), kStart).ok());
  }
  EXPECT_EQ(std::string(a->block->data(), a->whole), all);
}

TEST_F(ReassemblerTest, MakesRoomToReadInto) {
  Assembly* a = Begin(1, false, 1 << 20, "x");
  EXPECT_EQ(a->room, Reassembler::kMinRoom);
  ASSERT_TRUE(messages_.MakeRoom(*a).ok());
  EXPECT_EQ(a->room, Reassembler::kMinRoom) << "there is room";
  a->filled = a->room;  // the connection has read it full
  ASSERT_TRUE(messages_.MakeRoom(*a).ok());
  EXPECT_EQ(a->room, Reassembler::kAhead * Reassembler::kMinRoom);
}

TEST_F(ReassemblerTest, APeerThatSentWholeMessagesGetsTheNextBlockAtOnce) {
  Assembly* a = Begin(1, true, 1 << 20, "x");
  EXPECT_LT(a->room, a->whole);
  Complete(*a);
  messages_.Finish(1, true);
  EXPECT_EQ(Begin(2, true, 1 << 20, "x")->room, size_t{1} << 20);
  // One credit, one block.
  EXPECT_LT(Begin(3, true, 1 << 20, "x")->room, size_t{1} << 20);
  Complete(*messages_.Find(2, true));
  messages_.Finish(2, true);
  Complete(*messages_.Find(3, true));
  messages_.Finish(3, true);
  Begin(4, true, 1 << 20, "x");
  EXPECT_EQ(Begin(5, true, 1 << 20, "x")->room, size_t{1} << 20) << "two were under way at once";
  // A message that never comes costs what was lent for it.
  messages_.Drop(4, true);
  messages_.Drop(5, true);
  EXPECT_LT(Begin(6, true, 1 << 20, "x")->room, size_t{1} << 20);
}

TEST_F(ReassemblerTest, CreditIsForAsManyLargeMessagesAsMayBeUnfinished) {
  constexpr size_t kWhole = 60 << 20;
  // Without a budget: four such messages are more than the other tests' 4 MiB.
  InputAccount unbounded{InputBudgets()};
  Reassembler messages(4 * kWhole, blocks_, unbounded);
  const auto rooms_of = [&](uint64_t first) {
    size_t rooms = 0;
    for (uint64_t id = first; id < first + 4; ++id) {
      rooms += (*messages.Begin(id, false, Sized(kWhole, ""), kStart))->room;
    }
    for (uint64_t id = first; id < first + 4; ++id) messages.Finish(id, false);
    return rooms;
  };
  EXPECT_EQ(rooms_of(1), 4 * Reassembler::kMinRoom);
  EXPECT_EQ(rooms_of(5), 4 * kWhole);
}

TEST_F(ReassemblerTest, WhatTheBudgetRefusesIsNotHeld) {
  EXPECT_TRUE(Refused(1, false, 63 << 20, std::string(1 << 20, 'x')));
  EXPECT_FALSE(messages_.Contains(1, false));
  EXPECT_EQ(account_.held(), 0u);
  Assembly* a = Begin(2, false, 63 << 20, "x");
  const std::string much(1 << 20, 'm');
  const absl::Status refused = messages_.Add(*a, much.data(), much.size(), kStart);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("the budget"));
  EXPECT_EQ(a->filled, 1u) << "it is as it was";
  EXPECT_EQ(account_.held(), a->room);
}

// A sanitizer's own memory is most of the address space.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(ReassemblerTest, WhatFindsNoMemoryIsNotHeld) {
  InputAccount account{{}};
  Reassembler messages(256 << 20, blocks_, account);
  const absl::StatusOr<Assembly*> begun = messages.Begin(1, true, Sized(128 << 20, "x"), kStart);
  ASSERT_TRUE(begun.ok()) << begun.status();
  Assembly& a = **begun;
  const std::string much(8 << 20, 'm');
  absl::Status refused;
  {
    // Only while the message grows: the peer's bytes themselves are there.
    const FewAddresses few(8 << 20);
    refused = messages.Add(a, much.data(), much.size(), kStart);
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("no memory for 134217728 of the 134217728 bytes of the message, of which 1 "
                        "have come"));
  EXPECT_EQ(a.filled, 1u) << "it is as it was";
  EXPECT_EQ(account.held(), a.room);
  EXPECT_TRUE(messages.Add(a, much.data(), much.size(), kStart).ok()) << "there is memory again";
}
#endif

TEST_F(ReassemblerTest, StaysInItsPlaceWhileOthersComeAndGo) {
  Assembly* first = Begin(1, false, 100, "first");
  char* const place = first->end();
  // Enough for the table to grow. A connection that reads straight into a message keeps a pointer
  // to it.
  for (uint64_t id = 2; id < 2'000; ++id) Begin(id, id % 2 == 0, 10, "");
  EXPECT_EQ(messages_.Find(1, false), first);
  EXPECT_EQ(first->end(), place);
}

TEST_F(ReassemblerTest, ListsTheCallsOfUnfinishedRequests) {
  // Only addresses are handed on.
  auto* one = reinterpret_cast<InboundCall*>(uintptr_t{64});
  auto* two = reinterpret_cast<InboundCall*>(uintptr_t{128});
  Begin(1, false, 10, "")->call = one;
  Begin(2, false, 10, "")->call = two;
  Begin(3, true, 10, "");
  Begin(4, false, 10, "")->call = two;
  messages_.Drop(4, false);
  EXPECT_EQ(messages_.Calls(), (std::vector<InboundCall*>{one, two}));
}

TEST_F(ReassemblerTest, FindsThoseOfWhichNothingComes) {
  Begin(1, false, 10, "a", kStart);
  Begin(1, true, 10, "b", kStart + seconds(5));
  MonoTime next;
  EXPECT_TRUE(messages_.FindLate(kStart + seconds(29), seconds(30), MonoTime(), &next).empty());
  EXPECT_EQ(next, kStart + seconds(30));
  const auto late = messages_.FindLate(kStart + seconds(30), seconds(30), MonoTime(), &next);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].id, 1u);
  EXPECT_FALSE(late[0].reply);
  EXPECT_FALSE(late[0].expired);
  EXPECT_EQ(next, kStart + seconds(35));
  // A byte is enough.
  ASSERT_TRUE(messages_.Add(*messages_.Find(1, false), "c", 1, kStart + seconds(29)).ok());
  EXPECT_TRUE(messages_.FindLate(kStart + seconds(30), seconds(30), MonoTime(), &next).empty());
  // While nobody reads nothing can come.
  EXPECT_TRUE(
      messages_.FindLate(kStart + seconds(90), seconds(30), kStart + seconds(61), &next).empty());
  // Without a limit they may wait.
  EXPECT_TRUE(messages_.FindLate(kStart + seconds(900), Nanos::zero(), MonoTime(), &next).empty());
  EXPECT_EQ(next, kNever);
}

}  // namespace
}  // namespace weft::internal::native
