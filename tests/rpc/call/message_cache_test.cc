#include "weft/rpc/call/message_cache.h"

#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"

namespace weft {
namespace {

using Pair = MessagePair<test::EchoRequest, test::EchoReply>;

TEST(MessageCache, GivesBackThePairOfTheSameMethod) {
  const MethodInfo method;
  MessageCache cache;
  std::unique_ptr<Pair> pair = cache.Take<Pair>(method);
  ASSERT_NE(pair, nullptr);
  Pair* const first = pair.get();
  cache.Put(method, std::move(pair));
  pair = cache.Take<Pair>(method);
  EXPECT_EQ(pair.get(), first);
  // It is out: the next one is another.
  std::unique_ptr<Pair> second = cache.Take<Pair>(method);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second.get(), first);
}

TEST(MessageCache, NeverGivesAPairToAnotherMethod) {
  using Other = MessagePair<test::SleepRequest, test::SleepReply>;
  // More methods than slots: some share one.
  const std::vector<MethodInfo> methods(4 * MessageCache::kSlots);
  MessageCache cache;
  for (size_t i = 0; i < methods.size(); ++i) {
    if (i % 2 == 0) {
      auto pair = cache.Take<Pair>(methods[i]);
      EXPECT_EQ(pair->request.number(), 0);
      pair->request.set_number(static_cast<int64_t>(i) + 1);
      cache.Put(methods[i], std::move(pair));
    } else {
      auto pair = cache.Take<Other>(methods[i]);
      EXPECT_EQ(pair->request.micros(), 0);
      pair->request.set_micros(static_cast<int64_t>(i) + 1);
      cache.Put(methods[i], std::move(pair));
    }
  }
  for (size_t i = 0; i < methods.size(); i += 2) {
    const int64_t number = cache.Take<Pair>(methods[i])->request.number();
    EXPECT_TRUE(number == 0 || number == static_cast<int64_t>(i) + 1) << number;
  }
}

}  // namespace
}  // namespace weft
