// The messages that a worker keeps for its next calls, and the bounds on their memory.
#include "weft/rpc/call/message_cache.h"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/protos/echo.pb.h"

namespace weft::internal {
namespace {

using Pair = MessagePair<test::EchoRequest, test::EchoReply>;

TEST(MessageCache, GivesBackThePairOfTheSameMethod) {
  const MethodInfo method;
  MessageCache cache;
  std::unique_ptr<Pair> pair = cache.Take<Pair>(method);
  ASSERT_NE(pair, nullptr);
  Pair* const first = pair.get();
  cache.Put(method, std::move(pair), 100);
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
      cache.Put(methods[i], std::move(pair), 100);
    } else {
      auto pair = cache.Take<Other>(methods[i]);
      EXPECT_EQ(pair->request.micros(), 0);
      pair->request.set_micros(static_cast<int64_t>(i) + 1);
      cache.Put(methods[i], std::move(pair), 100);
    }
  }
  for (size_t i = 0; i < methods.size(); i += 2) {
    const int64_t number = cache.Take<Pair>(methods[i])->request.number();
    EXPECT_TRUE(number == 0 || number == static_cast<int64_t>(i) + 1) << number;
    EXPECT_EQ(cache.Take<Pair>(methods[i])->request.number(), 0) << "one was put there";
  }
}

TEST(MessageCache, GetsAPairBackWhoseReplyIsSentByReference) {
  const MethodInfo method;
  MessageCache cache;
  const size_t size = MessageCache::kMaxBytes / 8;
  std::unique_ptr<Pair> pair = cache.Take<Pair>(method);
  Pair* const first = pair.get();
  pair->reply.mutable_text()->reserve(size);
  const char* const memory = pair->reply.text().data();
  // The reply is still being sent: the pair is out.
  std::shared_ptr<const void> sent = cache.Share(method, std::move(pair), size, size);
  EXPECT_NE(cache.Take<Pair>(method).get(), first);
  // By the thread that has sent it.
  std::thread([&] { sent.reset(); }).join();
  pair = cache.Take<Pair>(method);
  EXPECT_EQ(pair.get(), first);
  const std::string text(1'000, 'x');  // copied: a temporary one would bring its own memory
  pair->reply.set_text(text);
  EXPECT_EQ(pair->reply.text().data(), memory);
}

TEST(MessageCache, KeepsALargePairOnlyWhereItsBytesAreItsStrings) {
  const MethodInfo method;
  MessageCache cache;
  const size_t size = 4 * MessageCache::kLargest;
  cache.Put(method, cache.Take<Pair>(method), size);
  EXPECT_EQ(cache.bytes(), 0u);
  // Only a quarter is strings sent by reference. The rest may be many small parts, which hold far
  // more memory than their size on the wire.
  cache.Share(method, cache.Take<Pair>(method), size, size / 4);
  cache.Take<Pair>(method);
  EXPECT_EQ(cache.bytes(), 0u);
  // Request and reply, the reply by reference.
  cache.Share(method, cache.Take<Pair>(method), size, size / 2).reset();
  std::unique_ptr<Pair> pair = cache.Take<Pair>(method);
  // Just large enough a message for the pair to stay.
  cache.Put(method, std::move(pair), size / MessageCache::kShrinks);
  EXPECT_EQ(cache.bytes(), size);
}

TEST(MessageCache, LetsALargePairGoThatServesSmallMessages) {
  const MethodInfo method;
  MessageCache cache;
  cache.Share(method, cache.Take<Pair>(method), 1 << 20, 1 << 20).reset();
  cache.Put(method, cache.Take<Pair>(method), 100);
  EXPECT_EQ(cache.bytes(), 0u);
  cache.Put(method, cache.Take<Pair>(method), 100);
  EXPECT_EQ(cache.bytes(), 100u);
}

TEST(MessageCache, KeepsNoMoreThanItsBounds) {
  const MethodInfo method;
  MessageCache cache;
  std::vector<std::shared_ptr<const void>> sent;
  const size_t size = MessageCache::kMaxBytes / 4;
  // More than twice what may be kept comes back before the worker looks.
  for (int i = 0; i < 10; ++i) {
    sent.push_back(cache.Share(method, cache.Take<Pair>(method), size, size));
  }
  sent.clear();
  std::unique_ptr<Pair> one = cache.Take<Pair>(method);
  EXPECT_LE(cache.bytes(), MessageCache::kMaxBytes);
  EXPECT_GE(cache.bytes(), MessageCache::kMaxBytes / 2);
  // Those of another method come when there is no room left.
  const MethodInfo another;
  for (int i = 0; i < 4; ++i) {
    sent.push_back(cache.Share(another, std::make_unique<Pair>(), size, size));
  }
  sent.clear();
  cache.Take<Pair>(another);
  EXPECT_LE(cache.bytes(), MessageCache::kMaxBytes);
  cache.TakeAll();
  EXPECT_EQ(cache.bytes(), 0u);
  // Messages that came back before take no room from those that come back now.
  cache.Share(method, std::make_unique<Pair>(), size, size).reset();
  cache.TakeAll();
  auto again = std::make_unique<Pair>();
  again->request.set_number(7);
  cache.Share(method, std::move(again), size, size).reset();
  EXPECT_EQ(cache.Take<Pair>(method)->request.number(), 7);
  std::vector<std::unique_ptr<Pair>> pairs(2 * MessageCache::kMaxPerMethod);
  for (auto& pair : pairs) pair = cache.Take<Pair>(method);
  for (auto& pair : pairs) cache.Put(method, std::move(pair), 1);
  EXPECT_EQ(cache.bytes(), static_cast<size_t>(MessageCache::kMaxPerMethod));
}

TEST(MessageCache, FreesWhatComesBackAfterItsEnd) {
  const MethodInfo method;
  auto cache = std::make_unique<MessageCache>();
  std::shared_ptr<const void> sent =
      cache->Share(method, cache->Take<Pair>(method), 1 << 20, 1 << 20);
  std::shared_ptr<const void> other =
      cache->Share(method, cache->Take<Pair>(method), 1 << 20, 1 << 20);
  other.reset();
  cache.reset();
  sent.reset();
}

}  // namespace
}  // namespace weft::internal
