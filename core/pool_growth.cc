#include "weft/core/pool_growth.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "weft/core/thread_start.h"

namespace weft::internal {
namespace {

// How long a pool that cannot grow waits before it tries again.
constexpr Nanos kTryAgain = std::chrono::milliseconds(250);

}  // namespace

absl::Status PoolGrowth::Start() {
  absl::StatusOr<std::thread> thread = StartThread(absl::StrCat(name_, "+"), [this] { Run(); });
  if (!thread.ok()) return thread.status();
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

void PoolGrowth::Stop() {
  stopping_.store(true, std::memory_order_release);
  parker_.Unpark();
  if (thread_.joinable()) thread_.join();
}

void PoolGrowth::Run() {
  while (!stopping_.load(std::memory_order_acquire)) {
    parker_.Park();
    do {
      GrowWhileBlocked();
      looking_.store(false, std::memory_order_seq_cst);
      // An item that came between the last look and here has not asked: it saw this thread looking.
    } while (wanted() && !looking_.exchange(true, std::memory_order_seq_cst));
  }
}

void PoolGrowth::GrowWhileBlocked() {
  std::vector<Nanos> cpu;
  uint64_t taken = host_.taken();
  while (wanted()) {
    // Takes the CPU times that the call below compares with.
    (void)host_.AllBlocked(&cpu);
    parker_.ParkFor(kLookEvery);
    const bool stood_still = host_.taken() == taken;
    taken = host_.taken();
    if (!stood_still || !host_.AllBlocked(&cpu)) continue;
    if (!Add()) parker_.ParkFor(kTryAgain);
  }
}

// Without a worker more, the items wait longer; nothing is lost.
bool PoolGrowth::Add() {
  const std::optional<absl::Status> started = host_.AddWorker();
  if (!started.has_value()) return true;
  const bool tell = !started->ok() && !told_;
  told_ = !started->ok();
  if (tell) {
    log_.Warning(absl::StrCat("worker pool ", name_, ": all of its ", host_.threads(),
                              " threads are blocked and calls wait, but ",
                              std::string(started->message()),
                              "; it goes on with those and tries again"));
  }
  return started->ok();
}

}  // namespace weft::internal
