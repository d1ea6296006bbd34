// A link that is read without a lock: alive while it is in use, and gone when nobody uses it.
#include "weft/rpc/client/link_slot.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/rpc/protocol/native/held_echo.h"
#include "weft/core/loop_group.h"
#include "weft/core/runtime.h"
#include "weft/rpc/client/link_use.h"

namespace weft::internal {
namespace {

// Says when it has gone.
class SomeLink final : public CallLink {
 public:
  explicit SomeLink(std::atomic<int>* alive) : alive_(alive) { alive_->fetch_add(1); }
  ~SomeLink() override { alive_->fetch_sub(1); }
  StartResult TryStart(OutboundCall&, absl::Status*) override { return StartResult::kGone; }
  void StopStarting() override {}
  EventLoop& loop() const override { std::abort(); }
  ConnectedPeer connected_peer() const override { return {}; }
  // A number to know a living link by.
  ConnectionVolume Volume() override { return {.calls = 7}; }
  void CancelCall(uint64_t) override {}

 private:
  std::atomic<int>* const alive_;
};

class LinkSlotTest : public ::testing::Test {
 protected:
  std::shared_ptr<const NumberedLink> New() {
    return std::make_shared<const NumberedLink>(
        NumberedLink{std::make_shared<SomeLink>(&alive_), ++last_});
  }

  std::shared_ptr<Runtime> runtime_ = test::QuietRuntime();
  const std::shared_ptr<EventLoop> loop_ = runtime_->loops().At(0).loop;
  std::atomic<int> alive_{0};
  uint64_t last_ = 0;
  std::unique_ptr<LinkSlot> slot_ = std::make_unique<LinkSlot>(*loop_);
};

TEST_F(LinkSlotTest, HasNoneUntilItIsSet) {
  LinkSlot::Record* record = nullptr;
  EXPECT_EQ(slot_->Read(&record), nullptr);
  EXPECT_EQ(record, nullptr);
}

TEST_F(LinkSlotTest, GivesTheLinkAgainAndAgain) {
  slot_->Set(New());
  for (int i = 0; i < 3; ++i) {
    LinkSlot::Record* record = nullptr;
    const NumberedLink* const link = slot_->Read(&record);
    ASSERT_NE(link, nullptr);
    EXPECT_EQ(link->number, 1u);
    LinkSlot::LetGo(*record);
  }
  slot_->Set(nullptr);
  // Nobody uses the link, so the slot has no one to hand it over to.
  EXPECT_EQ(alive_, 0);
  LinkSlot::Record* record = nullptr;
  EXPECT_EQ(slot_->Read(&record), nullptr);
}

TEST_F(LinkSlotTest, KeepsNoLinkThatNobodyUses) {
  slot_->Set(New());
  LinkSlot::Record* record = nullptr;
  ASSERT_NE(slot_->Read(&record), nullptr);
  LinkSlot::LetGo(*record);
  slot_->Set(New());
  EXPECT_EQ(alive_, 1);
}

TEST_F(LinkSlotTest, LeavesTheOldLinkToWhoUsesIt) {
  slot_->Set(New());
  LinkSlot::Record* record = nullptr;
  const NumberedLink* const link = slot_->Read(&record);
  ASSERT_NE(link, nullptr);
  slot_->Set(New());
  // The record of this thread has inherited the old one.
  EXPECT_EQ(alive_, 2);
  EXPECT_EQ(link->link->Volume().calls, 7u);
  LinkSlot::LetGo(*record);
  EXPECT_EQ(alive_, 1);
}

TEST_F(LinkSlotTest, MayGoBeforeWhoUsesItsLink) {
  slot_->Set(New());
  LinkSlot::Record* record = nullptr;
  const NumberedLink* const link = slot_->Read(&record);
  ASSERT_NE(link, nullptr);
  // The record outlives its slot, and with it the link.
  slot_.reset();
  EXPECT_EQ(link->link->Volume().calls, 7u);
  LinkSlot::LetGo(*record);
  EXPECT_EQ(alive_, 0);
}

TEST_F(LinkSlotTest, GivesOneUseAtATimeToAThread) {
  slot_->Set(New());
  LinkSlot::Record* first = nullptr;
  ASSERT_NE(slot_->Read(&first), nullptr);
  {
    // A thread has one record for a slot, and so one use of it.
    const LinkUse use(first);
    LinkSlot::Record* second = nullptr;
    EXPECT_EQ(slot_->Read(&second), nullptr);
  }
  LinkSlot::Record* third = nullptr;
  ASSERT_NE(slot_->Read(&third), nullptr);
  LinkSlot::LetGo(*third);
}

TEST_F(LinkSlotTest, IsNotMistakenForOneThatStoodInItsPlace) {
  // Slots in the same memory, one after the other, read by the same thread.
  alignas(LinkSlot) std::array<char, sizeof(LinkSlot)> room;
  for (int i = 0; i < 3; ++i) {
    auto* const slot = new (room.data()) LinkSlot(*loop_);
    slot->Set(New());
    LinkSlot::Record* record = nullptr;
    ASSERT_NE(slot->Read(&record), nullptr);
    slot->Set(nullptr);
    EXPECT_EQ(alive_, 1);
    LinkSlot::LetGo(*record);
    EXPECT_EQ(alive_, 0);
    slot->~LinkSlot();
  }
}

TEST_F(LinkSlotTest, ServesMoreSlotsThanAThreadKeepsRecordsFor) {
  std::vector<std::unique_ptr<LinkSlot>> slots;
  // A thread has places for eight records: most of these slots have to share one.
  for (int i = 0; i < 100; ++i) {
    slots.push_back(std::make_unique<LinkSlot>(*loop_));
    slots.back()->Set(New());
  }
  // In the second round most slots find their place taken by another one.
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < slots.size(); ++i) {
      LinkSlot::Record* record = nullptr;
      const NumberedLink* const link = slots[i]->Read(&record);
      ASSERT_NE(link, nullptr);
      EXPECT_EQ(link->number, i + 1);
      LinkSlot::LetGo(*record);
    }
  }
  slots.clear();
  EXPECT_EQ(alive_, 0);
}

TEST_F(LinkSlotTest, IsReadWhileItIsSet) {
  constexpr int kThreads = 3;
  std::atomic<bool> stop{false};
  std::atomic<int64_t> read{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        LinkSlot::Record* record = nullptr;
        const NumberedLink* const link = slot_->Read(&record);
        if (link == nullptr) continue;
        const LinkUse use(record);
        EXPECT_EQ(link->link->Volume().calls, 7u);
        read.fetch_add(1);
      }
    });
  }
  // The readers meet each change of the link, also those to none. Without the second look in Read
  // one of them would use a link that is gone.
  for (int i = 0; i < 2000 || read.load() < 2000; ++i) slot_->Set(i % 5 == 4 ? nullptr : New());
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  slot_->Set(nullptr);
  EXPECT_EQ(alive_, 0);
}

}  // namespace
}  // namespace weft::internal
