// Memory that malloc holds free goes back to the system, by the kernel's own count of this
// process's pages; and live memory between it is left alone.
#include "weft/core/free_pages.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace weft::internal {
namespace {

constexpr size_t kMiB = 1 << 20;
// Pieces of this size come from malloc's heap, and several of them share a page.
constexpr size_t kSmall = 1000;

size_t Resident() {
  size_t size = 0, resident = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%zu %zu", &size, &resident) != 2) ADD_FAILURE();
  if (file != nullptr) std::fclose(file);
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

using Piece = std::unique_ptr<char[]>;

// Returns a piece with all of its bytes written.
Piece Small(char fill) {
  Piece piece(new char[kSmall]);
  std::memset(piece.get(), fill, kSmall);
  return piece;
}

TEST(FreePages, GoBackFromBelowAPieceThatLives) {
  // A new thread has a heap of its own, so no other code's piece lies at its end.
  std::thread([] {
    FreePages pages;
    std::vector<Piece> burst;
    for (size_t i = 0; i < 32 * kMiB / kSmall; ++i) burst.push_back(Small('b'));
    // This piece lies at the heap's end, so malloc cannot give back the free pages below it.
    const Piece lives = Small('l');
    burst.clear();
    const size_t before = Resident();
    const size_t given = pages.GiveBack();
    if (!FreePages::Works()) {
      EXPECT_EQ(given, 0u);
      return;
    }
    // The burst held 32 MiB. One page of each piece that GiveBack asks malloc for stays.
    EXPECT_GT(given, 24 * kMiB);
    EXPECT_LT(Resident() + 24 * kMiB, before);
    for (size_t i = 0; i < kSmall; ++i) ASSERT_EQ(lives[i], 'l');
  }).join();
}

TEST(FreePages, LeavesWhatLivesBetweenThem) {
  std::thread([] {
    FreePages pages;
    std::vector<Piece> live;
    // From the second round on the burst gets the pages that the round before gave back.
    for (int round = 0; round < 3; ++round) {
      std::vector<Piece> burst;
      for (size_t i = 0; i < 16 * kMiB / kSmall; ++i) {
        burst.push_back(Small('b'));
        if (i % 100 == 0) live.push_back(Small('l'));
      }
      burst.clear();
      pages.GiveBack();
    }
    for (const Piece& piece : live) {
      for (size_t i = 0; i < kSmall; ++i) ASSERT_EQ(piece[i], 'l');
    }
  }).join();
}

TEST(FreePages, AreFoundBehindThoseThatWentBefore) {
  std::thread([] {
    FreePages pages;
    std::vector<Piece> first, second;
    for (size_t i = 0; i < 16 * kMiB / kSmall; ++i) first.push_back(Small('1'));
    for (size_t i = 0; i < 16 * kMiB / kSmall; ++i) second.push_back(Small('2'));
    const Piece lives = Small('l');
    first.clear();
    const size_t given = pages.GiveBack();
    second.clear();  // lies behind 16 MiB that are free and hold no pages
    const size_t more = pages.GiveBack();
    if (!FreePages::Works()) return;
    EXPECT_GT(given, 12 * kMiB);
    EXPECT_GT(more, 12 * kMiB);
  }).join();
}

TEST(FreePages, GrowNoHeapWhereNothingIsFree) {
  std::thread([] {
    FreePages pages;
    pages.GiveBack();
    const size_t before = Resident();
    // Each call asks malloc for pieces. If it did not free all of them again, they would add up.
    for (int i = 0; i < 100; ++i) pages.GiveBack();
    EXPECT_LT(Resident(), before + kMiB);
  }).join();
}

}  // namespace
}  // namespace weft::internal
