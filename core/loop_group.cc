#include "weft/core/loop_group.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/thread_start.h"

namespace weft {

absl::StatusOr<std::unique_ptr<LoopGroup>> LoopGroup::Create(int threads,
                                                             const EventLoopOptions& options) {
  std::unique_ptr<LoopGroup> group(new LoopGroup);
  for (int i = 0; i < std::max(1, threads); ++i) {
    EventLoopOptions own = options;
    own.name = absl::StrCat(options.name, i);
    absl::StatusOr<std::unique_ptr<EventLoop>> loop = EventLoop::Create(own);
    if (!loop.ok()) return loop.status();
    auto io = std::make_unique<IoThread>();
    io->loop = *std::move(loop);
    io->trimmer = std::make_unique<IdleTrimmer>(*io->loop);
    io->arena = std::make_unique<InputArena>(io->loop->blocks(), io->trimmer.get());
    io->wheel = std::make_unique<DeadlineWheel>(*io->loop);
    absl::StatusOr<std::thread> thread = StartThread(own.name, [l = io->loop.get()] { l->Run(); });
    if (!thread.ok()) return thread.status();
    io->thread = *std::move(thread);
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
  for (auto& io : threads_) io->loop->Stop();
  for (auto& io : threads_) {
    if (io->thread.joinable()) io->thread.join();
  }
}

}  // namespace weft
