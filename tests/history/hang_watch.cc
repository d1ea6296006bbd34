#include "tests/history/hang_watch.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "tests/history/thread_stacks.h"

namespace weft::test {
namespace {

// Looks so often within the limit.
constexpr int kLooks = 20;

}  // namespace

HangWatch::HangWatch(Options options) : options_(std::move(options)) {
  PrepareThreadStacks();
  thread_ = std::thread([this] { Watch(); });
}

HangWatch::~HangWatch() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void HangWatch::Watch() {
  uint64_t last = options_.progress();
  // Counts looks, not time: a machine that stood still as a whole is not taken for a hang.
  int same = 0;
  std::unique_lock<std::mutex> lock(mu_);
  while (!changed_.wait_for(lock, options_.limit / kLooks, [this] { return ending_; })) {
    const uint64_t now = options_.progress();
    same = now == last ? same + 1 : 0;
    last = now;
    if (same == kLooks) Hangs();
  }
}

void HangWatch::Hangs() const {
  std::printf("HANG: nothing has ended for %.1f s\n",
              std::chrono::duration<double>(options_.limit).count());
  std::fflush(stdout);
  // First, so that what the report does is not in them.
  const std::string stacks = ThreadStacks();
  options_.report();
  std::printf("%sviolations: 1\n", stacks.c_str());
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace weft::test
