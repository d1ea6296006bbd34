#include "tests/support/watched.h"

#include <thread>

namespace weft {

bool PollUntil(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + kTestPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    // Polled, not timed: a condition that comes late makes the test slow, never wrong.
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

}  // namespace weft
