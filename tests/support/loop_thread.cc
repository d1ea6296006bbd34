#include "tests/support/loop_thread.h"

#include <utility>

#include <gtest/gtest.h>

#include "tests/support/watched.h"

namespace weft {

using namespace internal;

EventLoopOptions LoopThread::Options() {
  EventLoopOptions options;
  options.name = "test-loop";
  // No spinning: tests run beside one another on few cores.
  options.spin = Nanos::zero();
  return options;
}

LoopThread::LoopThread(const EventLoopOptions& options) {
  absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(options);
  if (!loop.ok()) {
    ADD_FAILURE() << loop.status();
    std::abort();
  }
  loop_ = *std::move(loop);
  thread_ = std::thread([this] { loop_->Run(); });
}

LoopThread::LoopThread(ManualClock& clock)
    : LoopThread([&] {
        EventLoopOptions options = Options();
        options.clock = &clock;
        return options;
      }()) {
  clock_ = &clock;
}

void LoopThread::Run(const std::function<void()>& closure) {
  Notification done;
  loop_->Post([&](TaskFate fate) {
    EXPECT_EQ(fate, TaskFate::kRun);
    if (fate == TaskFate::kRun) closure();
    done.Notify();
  });
  // `done` and the closure's captures must live until then, so there is no going on without it.
  if (!done.Wait()) {
    ADD_FAILURE() << "the loop does not answer";
    std::abort();
  }
}

void LoopThread::Settle() {
  // The first may run in a turn that has polled already; before the third there were two whole
  // polls.
  for (int i = 0; i < 3; ++i) Run([] {});
}

void LoopThread::Advance(Nanos d) {
  clock_->Advance(d);
  Settle();
}

void LoopThread::Stop() {
  if (!thread_.joinable()) return;
  loop_->Stop();
  thread_.join();
}

}  // namespace weft
