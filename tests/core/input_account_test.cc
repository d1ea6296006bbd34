// The count of the bytes that one connection holds: in whole steps for the budgets that it shares,
// and byte by byte as long as its peer is not known.
#include "weft/core/input_account.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::internal {
namespace {

using ::testing::HasSubstr;

constexpr size_t kStep = InputAccount::kStep;
constexpr size_t kUnasked = InputAccount::kUnasked;

std::shared_ptr<InputBudget> Budget(size_t limit, const std::string& name) {
  return std::make_shared<InputBudget>(limit, name);
}

TEST(InputAccount, PassesOnWholeStepsOnly) {
  const auto server = Budget(0, "server");
  const auto runtime = Budget(0, "runtime");
  InputAccount account({.runtime = runtime, .server = server, .unknown = nullptr});
  account.Add(kStep - 1);
  EXPECT_EQ(server->held(), 0u) << "little touches nothing shared";
  account.Add(1);
  EXPECT_EQ(server->held(), kStep);
  account.Add(3 * kStep + 5);
  EXPECT_EQ(runtime->held(), 4 * kStep);
  EXPECT_EQ(account.held(), 4 * kStep + 5);
  // One byte less than four steps is held now.
  account.Remove(6);
  EXPECT_EQ(server->held(), 3 * kStep);
  account.Remove(account.held());
  EXPECT_EQ(server->held(), 0u);
  EXPECT_EQ(runtime->held(), 0u);
}

TEST(InputAccount, RefusesWhatOneOfItsBudgetsRefuses) {
  for (const bool of_server : {true, false}) {
    const auto tight = Budget(4 * kStep, "the tight one");
    const auto wide = Budget(0, "the wide one");
    InputAccount one({of_server ? wide : tight, of_server ? tight : wide, nullptr});
    InputAccount other({of_server ? wide : tight, of_server ? tight : wide, nullptr});
    EXPECT_TRUE(one.TryAdd(4 * kStep).ok());
    const absl::Status refused = other.TryAdd(4 * kStep);
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("the tight one"));
    EXPECT_EQ(other.held(), 0u) << "what was refused is not held";
    EXPECT_EQ(wide->held(), 4 * kStep);
    one.Remove(4 * kStep);
    EXPECT_TRUE(other.TryAdd(4 * kStep).ok());
  }
}

TEST(InputAccount, OfAConnectionThatHoldsLittleIsNeverRefused) {
  const auto full = Budget(kStep, "full");
  InputAccount hog({.runtime = nullptr, .server = full, .unknown = nullptr});
  hog.Add(kStep);
  InputAccount account({.runtime = nullptr, .server = full, .unknown = nullptr});
  // Another connection has used up the budget. A small amount is taken all the same.
  EXPECT_TRUE(account.TryAdd(kUnasked).ok());
  EXPECT_FALSE(account.TryAdd(kStep).ok());
}

TEST(InputAccount, CountsEachByteOfAPeerThatIsNotKnownYet) {
  const auto server = Budget(0, "server");
  const auto unknown = Budget(100, "unknown");
  InputAccount account({.runtime = nullptr, .server = server, .unknown = unknown});
  EXPECT_TRUE(account.TryAdd(60).ok());
  EXPECT_EQ(unknown->held(), 60u);
  // The refused amount is one byte more than the budget for unknown peers has left, and far below a
  // step.
  EXPECT_FALSE(account.TryAdd(41).ok());
  account.Remove(20);
  EXPECT_TRUE(account.TryAdd(60).ok());
  account.SetKnown();
  EXPECT_EQ(unknown->held(), 0u);
  account.SetKnown();
  EXPECT_TRUE(account.TryAdd(10 * kStep).ok());
  // These bytes were counted before the peer was known. They may not be taken from the budget for
  // unknown peers a second time.
  account.Remove(50);
  EXPECT_EQ(unknown->held(), 0u);
}

TEST(InputAccount, GivesBackWhatItHoldsWhenItGoes) {
  const auto server = Budget(0, "server");
  const auto unknown = Budget(0, "unknown");
  {
    InputAccount account({.runtime = nullptr, .server = server, .unknown = unknown});
    account.Add(3 * kStep + 7);
    EXPECT_EQ(server->held(), 3 * kStep);
    EXPECT_EQ(unknown->held(), 3 * kStep + 7);
  }
  EXPECT_EQ(server->held(), 0u);
  EXPECT_EQ(unknown->held(), 0u);
}

TEST(InputAccount, CountsRightWhateverThreadsDo) {
  const auto server = Budget(0, "server");
  InputAccount account({.runtime = nullptr, .server = server, .unknown = nullptr});
  constexpr size_t kThreads = 4;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&account, i] {
      // Two of these amounts are more than a step, so the threads change the shared budget all the
      // time.
      const size_t amount = kStep / 2 + 10'000 * i + 1;
      for (int n = 0; n < 10'000; ++n) {
        account.Add(amount);
        account.Remove(amount);
      }
      account.Add(kStep + 1);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(account.held(), kThreads * (kStep + 1));
  // A step that a thread passed on twice, or not at all, would stay in the budget for ever.
  EXPECT_EQ(server->held(), kThreads * kStep);
  account.Remove(account.held());
  EXPECT_EQ(server->held(), 0u);
}

}  // namespace
}  // namespace weft::internal
