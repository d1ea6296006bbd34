// Objects that a parent process has made, as seen in real forked children.
#include "weft/core/fork_guard.h"

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "weft/core/event_loop.h"
#include "weft/core/worker_pool.h"

namespace weft::internal {
namespace {

// Returns the result of `is_so` in a forked process.
bool InChild(const std::function<bool()>& is_so) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    // A child that waits for a lock or a thread of its parent's would wait for ever.
    ::alarm(60);
    // Leave without the parent's destructors and exit handlers, which a child must not run.
    ::_exit(is_so() ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return status == 0;
}

TEST(ForkGuard, IsLeftByForkAlone) {
  const ForkGuard home;
  EXPECT_FALSE(home.InForkedChild());
  EXPECT_TRUE(InChild([&] { return home.InForkedChild(); }));
  EXPECT_FALSE(home.InForkedChild());
}

TEST(ForkGuard, OfWhatTheChildMakesIsTheChild) {
  const ForkGuard home;
  EXPECT_TRUE(InChild([&] {
    const ForkGuard own;
    return !own.InForkedChild() &&
           // Fork a grandchild as well: the guard counts forks, so each generation differs from the
           // one before.
           InChild([&] { return own.InForkedChild() && home.InForkedChild(); });
  }));
}

TEST(ForkGuard, SaysWhatIsNotAtHome) {
  const absl::Status s = ForkGuard::Refused("channel to somewhere");
  EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(s.message().find("channel to somewhere: this process was forked"),
            absl::string_view::npos);
}

TEST(ForkGuard, NeverDestroysWhatIsLeftBehind) {
  auto thing = std::make_shared<int>(7);
  const std::weak_ptr<int> seen = thing;
  ForkGuard::LeaveBehind(thing);
  ForkGuard::LeaveBehind(std::move(thing));
  EXPECT_EQ(seen.use_count(), 2);
}

TEST(ForkGuard, ALoopTellsTasksOfTheChildThatItIsClosed) {
  const auto loop = EventLoop::Create({});
  ASSERT_TRUE(loop.ok());
  bool ran = false;
  EXPECT_TRUE(InChild([&] {
    bool cancelled = false;
    (*loop)->Post([&](TaskFate fate) { cancelled = fate == TaskFate::kCancelled; });
    return cancelled;
  }));
  // The child shares the parent's descriptors: the parent's loop has to be as it was.
  (*loop)->Post([&](TaskFate fate) { ran = fate == TaskFate::kRun; });
  (*loop)->Post([&](TaskFate) { (*loop)->Stop(); });
  (*loop)->Run();
  EXPECT_TRUE(ran);
}

TEST(ForkGuard, APoolRunsClosuresOfTheChildAtOnce) {
  const auto pool = WorkerPool::Create({});
  ASSERT_TRUE(pool.ok());
  EXPECT_TRUE(InChild([&] {
    bool ran = false;
    // The child has none of the pool's threads, and nobody else would run it.
    (*pool)->Execute([&] { ran = true; });
    return ran;
  }));
}

}  // namespace
}  // namespace weft::internal
