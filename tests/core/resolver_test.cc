#include "weft/core/resolver.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watched.h"

namespace weft {
namespace {

using Answer = absl::StatusOr<std::vector<SocketAddress>>;

HostPort Parsed(const std::string& text) {
  absl::StatusOr<HostPort> host_port = HostPort::Parse(text);
  EXPECT_TRUE(host_port.ok()) << host_port.status();
  return *host_port;
}

// No label of a name is longer than 63 bytes, so no server needs to be asked.
const std::string kImpossibleName = std::string(300, 'x') + ":80";

// A name of a zone that does not exist, by definition; asks the configured name server, if any.
constexpr char kUnknownName[] = "no-such-host.invalid:80";

class ResolverTest : public testing::Test {
 protected:
  ResolverTest() {
    thread_.Run([this] { resolver_ = std::make_unique<Resolver>(thread_.loop()); });
  }
  ~ResolverTest() override {
    thread_.Run([this] { resolver_.reset(); });
    thread_.Settle();
  }
  Answer Resolve(const std::string& text) {
    Watched<std::optional<Answer>> answer;
    thread_.Run(
        [&] { resolver_->Resolve(Parsed(text), [&](Answer a) { answer.Set(std::move(a)); }); });
    EXPECT_TRUE(answer.WaitFor([](const auto& a) { return a.has_value(); }));
    thread_.Settle();
    return *answer.Get();
  }

  LoopThread thread_;
  std::unique_ptr<Resolver> resolver_;
};

TEST_F(ResolverTest, AnswersNumericAndUnixAddressesAtOnce) {
  for (const char* text : {"10.0.0.7:7000", "[::1]:7", "unix:/x", "unix:@x"}) {
    std::optional<Answer> answer;
    thread_.Run([&] {
      resolver_->Resolve(Parsed(text), [&](Answer a) { answer = std::move(a); });
      ASSERT_TRUE(answer.has_value()) << "inside Resolve";
    });
    ASSERT_TRUE(answer->ok()) << answer->status();
    ASSERT_EQ((*answer)->size(), 1u);
    EXPECT_EQ((**answer)[0].ToString(), text);
  }
}

TEST_F(ResolverTest, FindsLocalhostInTheHostsFileWithItsPort) {
  Answer answer = Resolve("localhost:4711");
  ASSERT_TRUE(answer.ok()) << answer.status();
  ASSERT_FALSE(answer->empty());
  bool loopback = false;
  for (const SocketAddress& address : *answer) {
    EXPECT_EQ(address.port(), 4711);
    const std::string text = address.ToString();
    loopback = loopback || text == "127.0.0.1:4711" || text == "[::1]:4711";
  }
  EXPECT_TRUE(loopback);
  for (size_t i = 1; i < answer->size(); ++i) {
    EXPECT_FALSE((*answer)[i - 1].family() == AF_INET6 && (*answer)[i].family() == AF_INET)
        << "IPv4 comes first";
  }
}

TEST_F(ResolverTest, ANameThatCannotBeIsAStatusThatNamesIt) {
  Answer answer = Resolve(kImpossibleName);
  ASSERT_FALSE(answer.ok());
  EXPECT_TRUE(absl::IsUnavailable(answer.status())) << answer.status();
  EXPECT_NE(answer.status().message().find("resolve xxx"), absl::string_view::npos);
}

TEST_F(ResolverTest, AnUnknownInterfaceIsAStatusAndNotAName) {
  Answer answer = Resolve("[fe80::1%no-such-interface]:80");
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.status().message().find("no-such-interface"), absl::string_view::npos)
      << answer.status();
}

TEST_F(ResolverTest, ResolvesAgainAndAgain) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Resolve("localhost:1").ok());
}

TEST_F(ResolverTest, DoesNotCallBackAfterCancel) {
  bool called = false;
  thread_.Run([&] {
    resolver_->Resolve(Parsed(kUnknownName), [&](Answer) { called = true; });
    resolver_->Cancel();
    resolver_->Cancel();
  });
  thread_.Settle();
  EXPECT_TRUE(Resolve("localhost:1").ok()) << "it goes on to work";
  EXPECT_FALSE(called);
}

TEST_F(ResolverTest, ANewLookupCancelsTheLast) {
  bool called = false;
  thread_.Run([&] {
    resolver_->Resolve(Parsed(kUnknownName), [&](Answer) { called = true; });
    // This one may be answered: a name server may be near.
    resolver_->Resolve(Parsed(kUnknownName), [](Answer) {});
  });
  EXPECT_TRUE(Resolve("localhost:1").ok());
  EXPECT_FALSE(called);
}

// libevent answers cancelled lookups in a later turn; they must not find what is gone by then.
TEST_F(ResolverTest, MayBeDestroyedWithALookupUnderWay) {
  for (const bool cancel_first : {false, true}) {
    bool called = false;
    thread_.Run([&] {
      auto resolver = std::make_unique<Resolver>(thread_.loop());
      resolver->Resolve(Parsed(kUnknownName), [&](Answer) { called = true; });
      if (cancel_first) resolver->Cancel();
    });
    thread_.Settle();
    EXPECT_FALSE(called);
  }
}

TEST_F(ResolverTest, MayBeDestroyedInsideItsCallback) {
  for (const std::string& text :
       {std::string("127.0.0.1:1"), std::string("localhost:1"), kImpossibleName}) {
    Notification done;
    std::unique_ptr<Resolver> resolver;
    thread_.Run([&] {
      resolver = std::make_unique<Resolver>(thread_.loop());
      resolver->Resolve(Parsed(text), [&](Answer) {
        resolver.reset();
        done.Notify();
      });
    });
    ASSERT_TRUE(done.Wait());
    thread_.Settle();
  }
}

TEST(Resolver, LeavesNothingBehindWhenItsLoopStopsWithALookupUnderWay) {
  LoopThread thread;
  std::unique_ptr<Resolver> under_way;
  bool called = false;
  class Destroyer final : public LoopTask {
   public:
    explicit Destroyer(std::unique_ptr<Resolver>& r) : r_(r) {}
    void Run() override { ADD_FAILURE() << "the loop had stopped"; }
    void Cancel() override { r_.reset(); }

   private:
    std::unique_ptr<Resolver>& r_;
  } destroyer(under_way);
  thread.Run([&] {
    under_way = std::make_unique<Resolver>(thread.loop());
    under_way->Resolve(Parsed(kUnknownName), [&](Answer) { called = true; });
    thread.loop().Stop();
    thread.loop().Post(&destroyer);
  });
  thread.Stop();
  EXPECT_EQ(under_way, nullptr);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace weft
