// A node's view and how long the views of its peers differ from it. Times are seconds from a
// beginning, handed to each call; the log has no clock.
#include "weft/rpc/mesh/view_log.h"

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// So old a difference is given.
constexpr Nanos kLong = std::chrono::seconds(30);

MonoTime At(int64_t seconds) { return MonoTime(Nanos(std::chrono::seconds(1000 + seconds))); }

View ViewOf(uint64_t version, const char* address = "h:1") {
  return *View::Create({{"a", address}}, version);
}

std::vector<std::string> Names(const std::vector<ViewLog::Difference>& differences) {
  std::vector<std::string> names;
  for (const ViewLog::Difference& d : differences) {
    names.push_back(absl::StrCat(d.peer, ":", d.version));
  }
  return names;
}

TEST(ViewLog, CountsTheViewsThatItTakes) {
  ViewLog log;
  EXPECT_EQ(log.current().epoch, 0u);
  EXPECT_TRUE(log.current().view.empty());
  EXPECT_TRUE(log.Take(ViewOf(7), At(0)));
  EXPECT_EQ(log.current().epoch, 1u);
  EXPECT_FALSE(log.Take(ViewOf(7), At(1))) << "the same view";
  EXPECT_EQ(log.current().epoch, 1u);
  EXPECT_TRUE(log.Take(ViewOf(6), At(2))) << "versions have no order";
  EXPECT_TRUE(log.Take(ViewOf(6, "h:2"), At(3))) << "other members under the same version";
  EXPECT_EQ(log.current().epoch, 3u);
  EXPECT_EQ(log.current().view.Find("a")->address, "h:2");
}

TEST(ViewLog, CountsWhatIsRefusedAndForgetsWhyWithTheNextView) {
  ViewLog log;
  absl::Status last;
  EXPECT_EQ(log.refused(&last), 0u);
  log.Take(ViewOf(1), At(0));
  log.Refuse(absl::InvalidArgumentError("a member twice"));
  log.Refuse(absl::NotFoundError("gone"));
  EXPECT_EQ(log.refused(&last), 2u);
  EXPECT_EQ(last, absl::NotFoundError("gone"));
  EXPECT_EQ(log.current().epoch, 1u) << "the last good view stays";
  log.Take(ViewOf(1), At(0));
  EXPECT_EQ(log.refused(&last), 2u);
  EXPECT_TRUE(last.ok()) << "it is well again, with the same view";
}

TEST(ViewLog, GivesEachDifferenceOnceWhenItHasLasted) {
  ViewLog log;
  log.Take(ViewOf(1), At(0));
  log.Hear("b", 1, At(0));
  log.Hear("c", 9, At(1));
  log.Hear("d", 0, At(2));  // has none yet
  EXPECT_THAT(Names(log.Differences()), ElementsAre("c:9", "d:0"));
  EXPECT_EQ(log.NextLasting(kLong), At(31));
  // One nanosecond too early.
  EXPECT_THAT(log.Lasting(At(31) - Nanos(1), kLong), IsEmpty());
  EXPECT_THAT(Names(log.Lasting(At(31), kLong)), ElementsAre("c:9"));
  EXPECT_EQ(log.NextLasting(kLong), At(32));
  // Not c again, whose difference still lasts.
  EXPECT_THAT(Names(log.Lasting(At(500), kLong)), ElementsAre("d:0"));
  EXPECT_THAT(log.Lasting(At(1000), kLong), IsEmpty());
  EXPECT_EQ(log.NextLasting(kLong), kNever);
  EXPECT_THAT(Names(log.Differences()), ElementsAre("c:9", "d:0")) << "they are still there";
}

TEST(ViewLog, EndsADifferenceWhenEitherSideHasTheOthersView) {
  ViewLog log;
  log.Take(ViewOf(1), At(0));
  log.Hear("b", 2, At(0));
  log.Hear("c", 2, At(0));
  EXPECT_THAT(Names(log.Lasting(At(30), kLong)), ElementsAre("b:2", "c:2"));
  log.Hear("b", 1, At(40));     // it has come to us
  log.Take(ViewOf(2), At(50));  // and we to c
  EXPECT_THAT(Names(log.Differences()), ElementsAre("b:1"));
  EXPECT_EQ(log.NextLasting(kLong), At(80)) << "a new one, which began with our view";
  log.Hear("c", 3, At(60));
  EXPECT_THAT(Names(log.Lasting(At(80), kLong)), ElementsAre("b:1"));
  EXPECT_THAT(Names(log.Lasting(At(90), kLong)), ElementsAre("c:3")) << "given anew";
}

TEST(ViewLog, LetsADifferenceGoOnWhileVersionsChangeAndDoNotMeet) {
  ViewLog log;
  log.Take(ViewOf(1), At(0));
  log.Hear("b", 2, At(0));
  // Neither the peer's next version nor this node's begins the 30 s anew.
  log.Hear("b", 3, At(10));
  log.Take(ViewOf(4), At(20));
  EXPECT_THAT(Names(log.Lasting(At(30), kLong)), ElementsAre("b:3"));
}

TEST(ViewLog, HasNoDifferencesBeforeItsFirstView) {
  ViewLog log;
  log.Hear("b", 5, At(0));
  log.Hear("c", 6, At(0));
  EXPECT_THAT(log.Differences(), IsEmpty());
  EXPECT_EQ(log.NextLasting(kLong), kNever);
  // The wait for the first view does not count: the difference begins with the view.
  log.Take(ViewOf(5), At(100));
  EXPECT_THAT(Names(log.Differences()), ElementsAre("c:6"));
  EXPECT_EQ(log.NextLasting(kLong), At(130));
}

TEST(ViewLog, ForgetsAPeer) {
  ViewLog log;
  log.Take(ViewOf(1), At(0));
  log.Hear("b", 2, At(0));
  log.Forget("b");
  log.Forget("never heard of");
  EXPECT_THAT(log.Differences(), IsEmpty());
  log.Hear("b", 2, At(100));
  EXPECT_EQ(log.NextLasting(kLong), At(130)) << "with its next connection it begins anew";
  // A time beyond the end of the clock must not wrap around.
  EXPECT_EQ(log.NextLasting(Nanos::max()), kNever);
}

TEST(ViewLog, IsAskedAndToldByAnyThread) {
  ViewLog log;
  std::vector<std::thread> threads;
  for (uint64_t i = 1; i <= 4; ++i) {
    threads.emplace_back([&log, i] {
      for (uint64_t n = 0; n < 200; ++n) {
        // A version of its own for each thread and each round, so each view counts.
        log.Take(ViewOf(1 + n * 4 + i), At(0));
        log.Hear(absl::StrCat("p", i), n, At(0));
        log.Lasting(At(100), kLong);
        EXPECT_GE(log.current().epoch, 1u);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log.current().epoch, 800u);
  // The last view has a version of 798 and more, and each peer was last heard with 199.
  EXPECT_EQ(log.Differences().size(), 4u);
}

}  // namespace
}  // namespace weft::internal
