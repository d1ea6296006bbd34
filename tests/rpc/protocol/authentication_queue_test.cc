// The queue before an authenticator that the test holds and lets go: order, places, ends. Verdicts
// come from the queue's threads, or inside Ask.
#include "weft/rpc/protocol/authentication_queue.h"

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/watched.h"

namespace weft::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class KeptLines final : public LogSink {
 public:
  void Write(LogLevel, std::string_view line) override {
    lines.Update([&](auto& all) { all.emplace_back(line); });
  }
  Watched<std::vector<std::string>> lines;
};

// An authenticator that each token waits in until it is let go.
class Authentication : public ::testing::Test {
 protected:
  void Make(int threads, size_t max_waiting) {
    Log log(sink_, LogLevel::kWarning);
    places_ = std::make_shared<AuthenticationPlaces>(max_waiting);
    queue_ = *AuthenticationQueue::Create(
        [this](std::string_view token, const std::string& peer) -> absl::StatusOr<std::string> {
          asked_.Update([&](auto& all) { all.emplace_back(token); });
          // Each authentication uses up one permission of Allow.
          EXPECT_TRUE(allowed_.WaitFor([&](int n) { return n > 0; }));
          allowed_.Update([](int& n) { --n; });
          if (token == "throws") throw std::runtime_error("no disk");
          if (token == "throws a number") throw 1;
          if (token == "bad") return absl::UnauthenticatedError("who are you?");
          return absl::StrCat(std::string(token), " from ", peer);
        },
        {.threads = threads, .places = places_}, log, Clock::System());
  }
  uint64_t Ask(const std::string& token) {
    return queue_->Ask(
        {token, here_, TransportIdentity::None()},
        [this, token](absl::StatusOr<std::string> identity) {
          verdicts_.Update([&](auto& all) { all.push_back({token, std::move(identity)}); });
        });
  }
  void Allow(int more) {
    allowed_.Update([&](int& n) { n += more; });
  }
  [[nodiscard]] bool AskedFor(size_t n) {
    return asked_.WaitFor([&](const auto& all) { return all.size() == n; });
  }
  [[nodiscard]] bool Judged(size_t n) {
    return verdicts_.WaitFor([&](const auto& all) { return all.size() == n; });
  }
  absl::StatusOr<std::string> VerdictOn(const std::string& token) {
    for (const auto& [of, verdict] : verdicts_.Get()) {
      if (of == token) return verdict;
    }
    return absl::NotFoundError("none");
  }

  const std::string here_ = "here";
  std::shared_ptr<KeptLines> sink_ = std::make_shared<KeptLines>();
  Watched<int> allowed_{0};
  Watched<std::vector<std::string>> asked_;
  Watched<std::vector<std::pair<std::string, absl::StatusOr<std::string>>>> verdicts_;
  std::shared_ptr<AuthenticationPlaces> places_;
  std::unique_ptr<AuthenticationQueue> queue_;
};

TEST_F(Authentication, AnswersEachInTheOrderInWhichTheyAsked) {
  Make(1, 10);
  for (const char* token : {"a", "bad", "c"}) Ask(token);
  Allow(3);
  ASSERT_TRUE(Judged(3));
  EXPECT_THAT(asked_.Get(), ElementsAre("a", "bad", "c"));
  EXPECT_EQ(*VerdictOn("a"), "a from here");
  EXPECT_EQ(VerdictOn("bad").status(), absl::UnauthenticatedError("who are you?"));
  EXPECT_THAT(sink_->lines.Get(), IsEmpty());
}

TEST_F(Authentication, RunsSoManyAtOnceAndCountsThem) {
  Make(2, 10);
  for (const char* token : {"a", "b", "c", "d", "e"}) Ask(token);
  ASSERT_TRUE(AskedFor(2));
  // Both threads are inside the authenticator, which neither may leave yet.
  EXPECT_EQ(queue_->counts().running, 2u);
  EXPECT_EQ(queue_->counts().waiting, 3u);
  Allow(5);
  ASSERT_TRUE(Judged(5));
  // A verdict comes a moment before its thread has finished.
  EXPECT_TRUE(PollUntil([this] { return queue_->counts().running == 0; }));
  EXPECT_EQ(queue_->counts().waiting, 0u);
  Ask("f");  // its threads are used again
  Allow(1);
  EXPECT_TRUE(Judged(6));
}

TEST_F(Authentication, RefusesOneTooManyAtOnceAndSaysTheSettingToTheOperatorOnly) {
  Make(1, 2);
  for (const char* token : {"a", "b", "c"}) Ask(token);
  // One runs now. Before that it might still count among those that wait.
  ASSERT_TRUE(AskedFor(1));
  // "a" runs, and "b" and "c" have both places.
  Ask("d");
  ASSERT_TRUE(Judged(1)) << "without waiting for the others";
  const absl::Status refused = VerdictOn("d").status();
  EXPECT_EQ(refused, absl::UnavailableError("too many connections wait to be authenticated"));
  ASSERT_THAT(sink_->lines.Get(), SizeIs(1));
  EXPECT_EQ(sink_->lines.Get()[0],
            "server: connection refused: 2 wait for the authenticator already "
            "(max_waiting_authentications) (from here)");
  Allow(3);
  EXPECT_TRUE(Judged(4));
}

TEST_F(Authentication, NeverAsksForOneWhoseConnectionHasGone) {
  Make(1, 2);
  const uint64_t running = Ask("a");
  const uint64_t waiting = Ask("b");
  Ask("c");
  ASSERT_TRUE(AskedFor(1));
  queue_->Drop(waiting);
  queue_->Drop(waiting);  // no harm
  queue_->Drop(running);  // too late
  EXPECT_EQ(queue_->counts().waiting, 1u);
  Ask("d");  // has its place
  Allow(3);
  ASSERT_TRUE(Judged(3));
  EXPECT_THAT(asked_.Get(), ElementsAre("a", "c", "d"));
  // A dropped question gets no verdict, neither a good nor a bad one.
  EXPECT_EQ(VerdictOn("b").status().message(), "none");
}

TEST_F(Authentication, ThatThrowsIsARefusalAndALine) {
  Make(1, 2);
  Allow(3);
  for (const char* token : {"throws", "throws a number", "a"}) Ask(token);
  ASSERT_TRUE(Judged(3));
  for (const char* token : {"throws", "throws a number"}) {
    EXPECT_EQ(VerdictOn(token).status(), absl::InternalError("the authenticator threw"));
  }
  EXPECT_TRUE(VerdictOn("a").ok());
  EXPECT_THAT(sink_->lines.Get(),
              ElementsAre("server: the authenticator threw: no disk (from here)",
                          "server: the authenticator threw: no std::exception (from here)"));
}

TEST_F(Authentication, WaitsAtItsEndForTheOnesThatRun) {
  Make(2, 2);
  Ask("a");
  Ask("b");
  ASSERT_TRUE(AskedFor(2));
  Allow(2);
  // No thread of the queue may outlive it: this returns when both verdicts were given.
  queue_.reset();
  EXPECT_EQ(verdicts_.Get().size(), 2u);
}

TEST_F(Authentication, SaysWhenNobodyIsAskedAnyMore) {
  Make(1, 10);
  Watched<int> idle{0};
  const auto count = [&] { idle.Update([](int& n) { ++n; }); };
  queue_->WhenIdle(count);
  EXPECT_EQ(idle.Get(), 1) << "it is";
  Ask("a");
  Ask("b");
  queue_->WhenIdle(count);
  // One of two is judged, so somebody is still asked.
  Allow(1);
  EXPECT_TRUE(Judged(1));
  EXPECT_EQ(idle.Get(), 1);
  Allow(1);
  EXPECT_TRUE(idle.WaitForValue(2));
}

TEST_F(Authentication, SharesItsPlacesWithOtherQueues) {
  Make(1, 1);
  Watched<int> others{0};
  const auto places = places_;
  const auto other = *AuthenticationQueue::Create(
      [&](const AuthenticationRequest&) -> absl::StatusOr<std::string> {
        // Uses up no permission: the first queue's two need theirs.
        EXPECT_TRUE(allowed_.WaitFor([&](int n) { return n > 0; }));
        return std::string("other");
      },
      {.threads = 1, .places = places}, Log(), Clock::System());
  const auto ask_other = [&](Watched<absl::Status>& status) {
    other->Ask({"x", here_, TransportIdentity::None()}, [&](absl::StatusOr<std::string> identity) {
      status.Set(identity.status());
      others.Update([](int& n) { ++n; });
    });
  };
  Ask("a");
  ASSERT_TRUE(AskedFor(1));
  Ask("b");  // has the only place
  EXPECT_EQ(places->taken(), 1u);
  Watched<absl::Status> runs, too_many;
  // This one runs on the other queue's own thread and needs no place.
  ask_other(runs);
  ask_other(too_many);
  EXPECT_TRUE(absl::IsUnavailable(too_many.Get())) << too_many.Get();
  Allow(3);
  EXPECT_TRUE(Judged(2));
  EXPECT_TRUE(others.WaitForValue(2));
  EXPECT_EQ(places->taken(), 0u);
}

}  // namespace
}  // namespace weft::internal
