#include "weft/core/loop_group.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/parker.h"
#include "weft/core/thread_start.h"

namespace weft::internal {
namespace {

// A loop watches its clock from its first turn on. A test that moves the clock before that would
// not wait for the loop.
void WaitUntilItRuns(EventLoop& loop) {
  Parker parker;
  loop.Post([&parker](TaskFate) { parker.Unpark(); });
  parker.Park();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoopGroup>> LoopGroup::Create(int threads,
                                                             const EventLoopOptions& options,
                                                             std::shared_ptr<StepSet> steps) {
  std::unique_ptr<LoopGroup> group(new LoopGroup(std::move(steps)));
  for (int i = 0; i < std::max(1, threads); ++i) {
    EventLoopOptions own = options;
    own.name = absl::StrCat(options.name, i);
    own.stepped = group->steps_ != nullptr;
    absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(own);
    if (!loop.ok()) return loop.status();
    auto io = std::make_unique<IoThread>();
    io->loop = *std::move(loop);
    io->trimmer = std::make_unique<IdleTrimmer>(*io->loop);
    io->arena = std::make_unique<InputArena>(io->loop->blocks(), io->trimmer.get());
    io->wheel = std::make_unique<DeadlineWheel>(*io->loop);
    if (own.stepped) {
      group->steps_->Add(*io->loop);
      group->threads_.push_back(std::move(io));
      continue;
    }
    absl::StatusOr<std::thread> thread = StartThread(own.name, [l = io->loop.get()] { l->Run(); });
    if (!thread.ok()) return thread.status();
    io->thread = *std::move(thread);
    if (!io->loop->on_system_clock()) WaitUntilItRuns(*io->loop);
    group->threads_.push_back(std::move(io));
  }
  return group;
}

LoopGroup::~LoopGroup() { Stop(); }

bool LoopGroup::InLoop() const {
  return std::any_of(threads_.begin(), threads_.end(),
                     [](const auto& io) { return io->loop->InLoop(); });
}

void LoopGroup::Stop() {
  if (steps_ != nullptr) {
    for (auto& io : threads_) {
      steps_->Remove(*io->loop);
      io->loop->CloseStepped();
    }
    return;
  }
  // All are told first and joined then, so that they end side by side.
  for (auto& io : threads_) io->loop->Stop();
  for (auto& io : threads_) {
    if (io->thread.joinable()) io->thread.join();
  }
}

}  // namespace weft::internal
