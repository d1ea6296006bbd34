// The turns of a loop: their order, the loop's sleep and its wake-ups, and its end, with tasks from
// many threads. Then the readiness of descriptors, which the loop reports.
#include "weft/core/event_loop.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/loop_thread.h"
#include "tests/support/watch_recorder.h"
#include "tests/support/watched.h"
#include "weft/core/callback_queue.h"
#include "weft/core/fd_watch.h"
#include "weft/core/socket.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

std::unique_ptr<EventLoop> NewLoop(EventLoopOptions options = LoopThread::Options()) {
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(std::move(options));
  EXPECT_TRUE(loop.ok()) << loop.status();
  return *std::move(loop);
}

// Returns once the loop has gone to sleep for the `n`th time.
bool AwaitSleeps(const EventLoop& loop, int64_t n) {
  return PollUntil([&] { return loop.counts().sleeps >= n; });
}

// Counts its runs and cancellations, and calls the functions that a test sets.
class FateTask final : public LoopTask {
 public:
  void Run() override {
    ++runs;
    if (on_run) on_run();
  }
  void Cancel() override {
    ++cancels;
    if (on_cancel) on_cancel();
  }
  std::function<void()> on_run, on_cancel;
  int runs = 0, cancels = 0;
};

// Tasks of different posters may mix; tasks of one poster must stay in order.
TEST(EventLoop, RunsPostedTasksInTheOrderOfEachPoster) {
  constexpr int kPosters = 4;
  constexpr int kTasks = 3'000;
  LoopThread thread;
  std::vector<std::vector<int>> seen(kPosters);
  Watched<int> left(kPosters);
  std::vector<std::thread> posters;
  for (int p = 0; p < kPosters; ++p) {
    posters.emplace_back([&, p] {
      for (int i = 0; i < kTasks; ++i) {
        thread.loop().Post([&seen, p, i](TaskFate) { seen[p].push_back(i); });
      }
      thread.loop().Post([&](TaskFate) { left.Update([](int& n) { --n; }); });
    });
  }
  for (std::thread& t : posters) t.join();
  ASSERT_TRUE(left.WaitForValue(0));
  for (const std::vector<int>& order : seen) {
    ASSERT_EQ(order.size(), static_cast<size_t>(kTasks));
    for (int i = 0; i < kTasks; ++i) ASSERT_EQ(order[i], i);
  }
}

// The sleep protocol under stress: each post must be served although nothing else ever wakes the
// loop.
TEST(EventLoop, ServesEveryPostOfThreadsThatWaitForIt) {
  for (const Nanos spin : {Nanos::zero(), Nanos(std::chrono::microseconds(20))}) {
    EventLoopOptions options = LoopThread::Options();
    options.spin = spin;
    LoopThread thread(options);
    std::vector<std::thread> posters;
    for (int p = 0; p < 3; ++p) {
      posters.emplace_back([&] {
        // Each poster waits until its task has run, so the loop goes to sleep between posts. A lost
        // wake-up leaves all posters waiting.
        for (int i = 0; i < 2'000; ++i) thread.Run([] {});
      });
    }
    for (std::thread& t : posters) t.join();
  }
}

TEST(EventLoop, IsWokenOnceForManyPosts) {
  LoopThread thread;
  ASSERT_TRUE(AwaitSleeps(thread.loop(), 1));
  // The loop went to sleep by itself, and nobody has posted yet.
  EXPECT_EQ(thread.loop().counts().wakes, 0);
  // The first task holds the loop awake while the others come.
  Notification running, go_on;
  thread.loop().Post([&](TaskFate) {
    running.Notify();
    EXPECT_TRUE(go_on.Wait());
  });
  ASSERT_TRUE(running.Wait());
  for (int i = 0; i < 100; ++i) thread.loop().Post([](TaskFate) {});
  go_on.Notify();
  Notification last;
  thread.loop().Post([&](TaskFate) { last.Notify(); });
  ASSERT_TRUE(last.Wait());
  // The last post may have found the loop asleep again, which makes a second wake-up.
  EXPECT_LE(thread.loop().counts().wakes, 2);
  EXPECT_GE(thread.loop().counts().wakes, 1);
}

TEST(EventLoop, IsNotWokenWhileItRunsCallbacks) {
  class Listener final : public WatchEvents {
   public:
    void OnReadable() override {
      char byte;
      EXPECT_EQ(::read(fd, &byte, 1), 1);
      running.Notify();
      EXPECT_TRUE(go_on.Wait());
    }
    void OnWritable() override {}
    int fd = -1;
    Notification running, go_on;
  };
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  const Socket a(fds[0]), b(fds[1]);
  LoopThread thread;
  Listener listener;
  listener.fd = a.fd();
  FdWatch watch;
  int64_t sleeps = 0;
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), a.fd(), &listener).ok());
    watch.WatchRead(true);
    sleeps = thread.loop().counts().sleeps;
  });
  // The loop has to be asleep before the byte comes, so that the callback runs in the turn that the
  // poll woke.
  ASSERT_TRUE(AwaitSleeps(thread.loop(), sleeps + 1));
  const int64_t wakes = thread.loop().counts().wakes;
  ASSERT_EQ(::write(b.fd(), "x", 1), 1);
  ASSERT_TRUE(listener.running.Wait());
  thread.loop().Post([](TaskFate) {});
  EXPECT_EQ(thread.loop().counts().wakes, wakes) << "it is awake: a byte in its pipe is wasted";
  listener.go_on.Notify();
  thread.Run([&] { watch.Stop(); });
}

TEST(EventLoop, RunsPostedTasksWhileADescriptorIsReadyAllTheTime) {
  // Never reads, like an end whose peer sends faster than it reads.
  class Listener final : public WatchEvents {
   public:
    void OnReadable() override {
      if (++rounds == 1) loop->Post([this](TaskFate) { at_task = rounds; });
      if (rounds == 1'000 || at_task > 0) {
        watch.Stop();
        ended.Notify();
      }
    }
    void OnWritable() override {}
    EventLoop* loop = nullptr;
    FdWatch watch;
    int rounds = 0, at_task = 0;
    Notification ended;
  };
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  const Socket a(fds[0]), b(fds[1]);
  // Nobody reads this byte, so the descriptor is ready all the time.
  ASSERT_EQ(::write(b.fd(), "x", 1), 1);
  for (const bool busy : {false, true}) {  // the wait that sleeps, and the one that polls
    EventLoopOptions options = LoopThread::Options();
    if (busy) options.spin = std::chrono::seconds(1);
    LoopThread thread(options);
    Listener listener;
    listener.loop = &thread.loop();
    thread.Run([&] {
      ASSERT_TRUE(listener.watch.Start(thread.loop(), a.fd(), &listener).ok());
      listener.watch.WatchRead(true);
    });
    ASSERT_TRUE(listener.ended.Wait());
    // The 8 is kMaxRounds. Without that bound the poll goes on until the listener gives up, at
    // 1,000.
    thread.Run([&] { EXPECT_LE(listener.at_task, 8) << (busy ? "busy" : "asleep"); });
  }
}

TEST(EventLoop, WakesNobodyWhileIdle) {
  EventLoopOptions options = LoopThread::Options();
  options.spin = std::chrono::microseconds(50);
  LoopThread thread(options);
  thread.Settle();
  long before = 0, after = 0;
  const auto switches = [] {
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw;
  };
  thread.Run([&] { before = switches(); });
  const int64_t turns = thread.loop().counts().turns;
  // The work of another loop measures the time: a loop that polls meanwhile would turn about as
  // often as the other one.
  LoopThread other;
  for (int i = 0; i < 2'000; ++i) other.Run([] {});
  // The turn that read `before` may be counted late, and one may follow before the loop sleeps.
  EXPECT_LE(thread.loop().counts().turns - turns, 2);
  thread.Run([&] { after = switches(); });
  EXPECT_LE(after - before, 3);
}

TEST(EventLoop, StopBeforeRunMakesRunReturnAndCancelsWhatIsQueued) {
  std::unique_ptr<EventLoop> loop = NewLoop();
  FateTask task;
  loop->Post(&task);
  // Call Stop twice, since it may come more than once.
  loop->Stop();
  loop->Stop();
  loop->Run();
  EXPECT_EQ(task.runs, 0);
  EXPECT_EQ(task.cancels, 1);
}

TEST(EventLoop, CancelsWhatIsPostedAfterItHasClosed) {
  LoopThread thread;
  thread.Stop();
  FateTask task;
  thread.loop().Post(&task);
  // The task was cancelled on this thread, before Post returned.
  EXPECT_EQ(task.cancels, 1);
  TaskFate fate = TaskFate::kRun;
  thread.loop().Post([&](TaskFate f) { fate = f; });
  EXPECT_EQ(fate, TaskFate::kCancelled);
}

TEST(EventLoop, CancelsWhatWasPostedToALoopThatNeverRan) {
  FateTask task;
  {
    std::unique_ptr<EventLoop> loop = NewLoop();
    loop->Post(&task);
  }
  EXPECT_EQ(task.runs + task.cancels, 1);
  EXPECT_EQ(task.cancels, 1);
}

TEST(EventLoop, RunsOrCancelsEachTaskPostedWhileItCloses) {
  for (int round = 0; round < 20; ++round) {
    LoopThread thread;
    std::atomic<int> answered{0};
    std::atomic<int> posted{0};
    std::vector<std::thread> posters;
    for (int p = 0; p < 2; ++p) {
      posters.emplace_back([&] {
        for (int i = 0; i < 2'000; ++i) {
          posted.fetch_add(1);
          thread.loop().Post([&](TaskFate) { answered.fetch_add(1); });
        }
      });
    }
    // Stop the loop in the middle of the posting: some tasks are queued, others are still to come.
    ASSERT_TRUE(PollUntil([&] { return posted.load() > 50; }));
    thread.Stop();
    for (std::thread& t : posters) t.join();
    // A task that slips between the loop's last look and its closing would be missing.
    EXPECT_EQ(answered.load(), posted.load());
  }
}

TEST(EventLoop, ATaskMayPostItselfAndLetsOthersRunBetween) {
  LoopThread thread;
  FateTask task;
  Notification done;
  int others = 0;
  task.on_run = [&] {
    if (task.runs == 5) {
      done.Notify();
      return;
    }
    thread.loop().Post([&](TaskFate) { ++others; });
    thread.loop().Post(&task);
  };
  thread.loop().Post(&task);
  ASSERT_TRUE(done.Wait());
  thread.Run([&] { EXPECT_EQ(others, 4); });
}

TEST(EventLoop, ATaskThatPostsItselfForeverDoesNotKeepItFromStopping) {
  LoopThread thread;
  FateTask task;
  Notification ran;
  task.on_run = [&] {
    if (task.runs == 1) ran.Notify();
    thread.loop().Post(&task);
  };
  thread.loop().Post(&task);
  ASSERT_TRUE(ran.Wait());
  thread.Stop();
  EXPECT_EQ(task.cancels, 1);
}

TEST(EventLoop, RunsTheTurnsEndAfterPostedTasksAndAtMostTwoRoundsOfIt) {
  LoopThread thread;
  // Only the loop writes it, and only the test thread reads it, after Settle.
  std::vector<std::string> order;
  FateTask end, second, third;
  Notification done;
  end.on_run = [&] {
    order.push_back("end");
    thread.loop().RunAtEndOfTurn(&second);
  };
  second.on_run = [&] {
    order.push_back("second");
    thread.loop().RunAtEndOfTurn(&third);
    thread.loop().Post([&](TaskFate) { order.push_back("posted"); });
  };
  third.on_run = [&] {
    order.push_back("third");
    done.Notify();
  };
  thread.Run([&] {
    thread.loop().RunAtEndOfTurn(&end);
    order.push_back("task");
  });
  ASSERT_TRUE(done.Wait());
  thread.Settle();
  // `third` is scheduled in the second round. It waits for the next turn, whose posted tasks come
  // before it.
  EXPECT_EQ(order, (std::vector<std::string>{"task", "end", "second", "posted", "third"}));
}

TEST(EventLoop, AnswersTasksOfTheTurnsEndWhenItCloses) {
  LoopThread thread;
  FateTask forever;
  forever.on_run = [&] { thread.loop().RunAtEndOfTurn(&forever); };
  thread.Run([&] { thread.loop().RunAtEndOfTurn(&forever); });
  thread.Stop();
  // The closing loop runs the task in its last rounds, cancels it once, and does not run it again.
  EXPECT_GE(forever.runs, 1);
  EXPECT_EQ(forever.cancels, 1);
}

TEST(EventLoop, ClosesThoughCancelledTasksScheduleOneAnotherForEver) {
  LoopThread thread;
  FateTask forever;
  forever.on_run = [&] { thread.loop().RunAtEndOfTurn(&forever); };
  forever.on_cancel = forever.on_run;
  thread.Run([&] { thread.loop().RunAtEndOfTurn(&forever); });
  thread.Stop();
  EXPECT_GT(forever.cancels, 1);
}

TEST(EventLoop, ClosesThoughCallbacksBringUpOneAnotherForEver) {
  LoopThread thread;
  int64_t called = 0;
  std::function<void()> again = [&] {
    ++called;
    CallbackQueue::Later(
        &thread.loop(), "a callback", [&](bool) { again(); }, true);
  };
  thread.Run([&] { again(); });
  thread.Stop();
  // The closing loop called every generation that it allows, and dropped the callback that the last
  // one queued.
  EXPECT_GE(called, CallbackQueue::kGenerations);
}

TEST(EventLoop, KnowsWhoseThreadItIs) {
  LoopThread one, two;
  EXPECT_EQ(EventLoop::Current(), nullptr);
  EXPECT_FALSE(one.loop().InLoop());
  one.Run([&] {
    EXPECT_EQ(EventLoop::Current(), &one.loop());
    EXPECT_TRUE(one.loop().InLoop());
    EXPECT_FALSE(two.loop().InLoop());
    one.loop().AssertInLoop();
  });
}

TEST(EventLoop, IsStillTheCurrentOneForTasksCancelledWhileItCloses) {
  LoopThread thread;
  EventLoop* seen = nullptr;
  FateTask late;
  // A task that is cancelled may use objects that belong to the loop.
  late.on_cancel = [&] { seen = EventLoop::Current(); };
  thread.Run([&] {
    thread.loop().Stop();
    // The loop has been told to stop, so this task comes too late and is cancelled.
    thread.loop().Post(&late);
  });
  thread.Stop();
  EXPECT_EQ(late.cancels, 1);
  EXPECT_EQ(seen, &thread.loop());
}

TEST(EventLoop, ReadsItsClockOnceForWhatCameTogether) {
  class CountingClock final : public Clock {
   public:
    MonoTime Now() const override { return MonoTime(Nanos(1'000'000'000 + reads.fetch_add(1))); }
    mutable std::atomic<int64_t> reads{0};
  };
  // Each reading gives another time, so two equal times come from one reading.
  CountingClock clock;
  EventLoopOptions options = LoopThread::Options();
  options.clock = &clock;
  LoopThread thread(options);
  thread.Run([&] {
    const MonoTime now = thread.loop().now();
    EXPECT_EQ(thread.loop().now(), now);
  });
}

// A spin measures its budget by the loop's clock. With a clock that stands still the spin would
// never end.
TEST(EventLoop, DoesNotSpinOnAClockThatStandsStill) {
  ManualClock clock;
  EventLoopOptions options = LoopThread::Options();
  options.clock = &clock;
  options.spin = std::chrono::microseconds(50);
  LoopThread thread(options);
  EXPECT_TRUE(AwaitSleeps(thread.loop(), 1));
}

// ---- FdWatch, the loop's way to watch a descriptor.

struct SocketPair {
  SocketPair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    here = Socket(fds[0]);
    there = Socket(fds[1]);
  }
  Socket here, there;
};

TEST(FdWatch, TellsReadinessAsLongAsItLasts) {
  LoopThread thread;
  SocketPair pair;
  WatchRecorder recorder;
  FdWatch watch;
  recorder.on_readable = [&] {
    // The byte stays unread in the first two calls, so the watch must call again.
    if (recorder.reads.Get() == 3) {
      char byte;
      EXPECT_EQ(::read(pair.here.fd(), &byte, 1), 1);
    }
  };
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), pair.here.fd(), &recorder).ok());
    EXPECT_TRUE(watch.started());
    watch.WatchRead(true);
    watch.WatchRead(true);
  });
  ASSERT_EQ(::write(pair.there.fd(), "x", 1), 1);
  EXPECT_TRUE(recorder.reads.WaitForValue(3));
  thread.Settle();
  // A fourth call would come after the byte was read, or because WatchRead was called twice.
  EXPECT_EQ(recorder.reads.Get(), 3);
  thread.Run([&] { watch.Stop(); });
}

TEST(FdWatch, StoppedWhileTheOtherEventIsReadyTooSaysNothingMore) {
  for (const bool stop_in_read : {true, false}) {
    LoopThread thread;
    SocketPair pair;
    WatchRecorder recorder;
    auto watch = std::make_unique<FdWatch>();
    const auto end = [&] { watch.reset(); };  // the harder case: destroyed inside its callback
    (stop_in_read ? recorder.on_readable : recorder.on_writable) = end;
    // The socket is readable and writable before it is watched, so one poll brings both events.
    ASSERT_EQ(::write(pair.there.fd(), "x", 1), 1);
    thread.Run([&] {
      ASSERT_TRUE(watch->Start(thread.loop(), pair.here.fd(), &recorder).ok());
      watch->WatchRead(true);
      watch->WatchWrite(true);
    });
    thread.Settle();
    if (stop_in_read) {
      EXPECT_EQ(recorder.reads.Get(), 1);
      EXPECT_LE(recorder.writes.Get(), 1);  // the write event may have come first
    } else {
      EXPECT_EQ(recorder.writes.Get(), 1);
      EXPECT_LE(recorder.reads.Get(), 1);
    }
    EXPECT_EQ(watch, nullptr);
  }
}

TEST(FdWatch, MayMoveToAnotherDescriptorInsideItsCallback) {
  LoopThread thread;
  SocketPair first, second;
  WatchRecorder recorder;
  FdWatch watch;
  recorder.on_writable = [&] {
    if (recorder.writes.Get() > 1) {
      watch.Stop();
      return;
    }
    ASSERT_TRUE(watch.Start(thread.loop(), second.here.fd(), &recorder).ok());
    watch.WatchWrite(true);
    // The number of the closed descriptor may be given to another one from now on.
    first.here.Close();
  };
  thread.Run([&] {
    ASSERT_TRUE(watch.Start(thread.loop(), first.here.fd(), &recorder).ok());
    watch.WatchWrite(true);
  });
  EXPECT_TRUE(recorder.writes.WaitForValue(2));
  thread.Settle();
  EXPECT_EQ(recorder.writes.Get(), 2);
}

TEST(FdWatch, DoesNothingWhenItHasNotStarted) {
  LoopThread thread;
  FdWatch watch;
  thread.Run([&] {
    watch.WatchRead(true);
    watch.WatchWrite(false);
    watch.Stop();
    EXPECT_FALSE(watch.started());
  });
}

}  // namespace
}  // namespace weft::internal
