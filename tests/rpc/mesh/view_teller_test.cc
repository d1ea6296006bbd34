// The order in which a membership's listener hears of views and errors, on one thread and on
// several. News is its version, or its message.
#include "weft/rpc/mesh/view_teller.h"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/watched.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

View ViewOf(uint64_t version) { return *View::Create({{"a", "h:1"}}, version); }

class ViewTellerTest : public testing::Test {
 protected:
  Membership::Changed Keep() {
    return [this](const absl::StatusOr<View>& news) { said_.push_back(Text(news)); };
  }
  static std::string Text(const absl::StatusOr<View>& news) {
    return news.ok() ? std::to_string(news->version()) : std::string(news.status().message());
  }

  ViewTeller teller_;
  std::vector<std::string> said_;
};

TEST_F(ViewTellerTest, TellsInOrderFromTheStart) {
  teller_.Start(Keep());
  EXPECT_THAT(said_, IsEmpty());
  teller_.Tell(ViewOf(1));
  teller_.Tell(ViewOf(2));
  EXPECT_THAT(said_, ElementsAre("1", "2"));
}

TEST_F(ViewTellerTest, KeepsTheNewestUntilTheStart) {
  teller_.Tell(ViewOf(1));
  teller_.Tell(absl::UnavailableError("gone"));
  teller_.Tell(ViewOf(2));
  // This error is younger than the view, so both are told.
  teller_.Tell(absl::UnavailableError("broken"));
  teller_.Start(Keep());
  EXPECT_THAT(said_, ElementsAre("2", "broken")) << "a view takes the place of older errors";
}

TEST_F(ViewTellerTest, TellsNothingTwice) {
  teller_.Start(Keep());
  teller_.Tell(ViewOf(1));
  teller_.Tell(ViewOf(1));
  teller_.Tell(absl::UnavailableError("gone"));
  teller_.Tell(absl::UnavailableError("gone"));
  EXPECT_THAT(said_, ElementsAre("1", "gone"));
  teller_.Tell(ViewOf(1));  // it is back, which is news
  teller_.Tell(ViewOf(1));
  teller_.Tell(absl::UnavailableError("gone"));
  // Another code under the same text is another error.
  teller_.Tell(absl::NotFoundError("gone"));
  EXPECT_THAT(said_, ElementsAre("1", "gone", "1", "gone", "gone"));
}

TEST_F(ViewTellerTest, TellsBehindTheCallWhatComesInsideIt) {
  int depth = 0;
  teller_.Start([&](const absl::StatusOr<View>& news) {
    // The listener tells more below, and a call inside a call would come here again.
    EXPECT_EQ(depth++, 0) << "one call at a time";
    said_.push_back(Text(news));
    if (said_.size() == 1) {
      for (uint64_t version = 2; version <= 9; ++version) teller_.Tell(ViewOf(version));
      teller_.Tell(absl::UnavailableError("gone"));
    }
    --depth;
  });
  teller_.Tell(ViewOf(1));
  EXPECT_THAT(said_, ElementsAre("1", "9", "gone")) << "what waits is replaced";
}

TEST_F(ViewTellerTest, GoesOnAfterAListenerThatThrows) {
  teller_.Start([&](const absl::StatusOr<View>& news) {
    said_.push_back(Text(news));
    // The throw is caught and logged; the teller must not stay inside the call.
    throw std::runtime_error("a listener's own");
  });
  teller_.Tell(ViewOf(1));
  teller_.Tell(ViewOf(2));
  EXPECT_THAT(said_, ElementsAre("1", "2"));
  teller_.Stop();
}

TEST_F(ViewTellerTest, StopInsideTheListenerIsItsLastCall) {
  // The listener holds this alone, so the weak pointer tells when the listener is destroyed.
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = held;
  teller_.Start([this, held = std::move(held), &alive](const absl::StatusOr<View>& news) {
    said_.push_back(Text(news));
    // Waits for the end of this call, and Stop takes it back.
    teller_.Tell(ViewOf(2));
    teller_.Stop();
    EXPECT_FALSE(alive.expired()) << "the listener lives until its call is over";
    teller_.Tell(ViewOf(3));
  });
  teller_.Tell(ViewOf(1));
  EXPECT_TRUE(alive.expired());
  teller_.Tell(ViewOf(4));
  EXPECT_THAT(said_, ElementsAre("1"));
}

TEST_F(ViewTellerTest, StopWaitsForTheCallOnAnotherThread) {
  Notification inside, go_on;
  std::atomic<bool> left{false};
  teller_.Start([&](const absl::StatusOr<View>&) {
    inside.Notify();
    EXPECT_TRUE(go_on.Wait());
    left = true;
  });
  std::thread telling([&] { teller_.Tell(ViewOf(1)); });
  ASSERT_TRUE(inside.Wait());
  // The yields let Stop come to its wait first. Too few of them would weaken the test and not fail
  // it.
  std::thread releasing([&] {
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    go_on.Notify();
  });
  teller_.Stop();
  // Stop has returned, so the call on the other thread has.
  EXPECT_TRUE(left);
  releasing.join();
  telling.join();
}

TEST_F(ViewTellerTest, ThreadsThatTellDoNotWaitForEachOther) {
  Notification inside, go_on;
  Watched<std::vector<std::string>> said;
  teller_.Start([&](const absl::StatusOr<View>& news) {
    said.Update([&](std::vector<std::string>& all) { all.push_back(Text(news)); });
    inside.Notify();
    EXPECT_TRUE(go_on.Wait());
  });
  std::thread telling([&] { teller_.Tell(ViewOf(1)); });
  ASSERT_TRUE(inside.Wait());
  teller_.Tell(ViewOf(2));  // returns although the listener is inside its call
  go_on.Notify();
  telling.join();
  // The thread that was telling has told the second view, too.
  EXPECT_THAT(said.Get(), ElementsAre("1", "2"));
}

TEST_F(ViewTellerTest, StopBeforeStartLeavesNothingToTell) {
  teller_.Tell(ViewOf(1));
  teller_.Stop();
  teller_.Start(Keep());
  EXPECT_THAT(said_, IsEmpty());
}

}  // namespace
}  // namespace weft::internal
