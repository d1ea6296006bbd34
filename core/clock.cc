#include "weft/core/clock.h"

#include "absl/strings/str_format.h"

namespace weft {

using namespace internal;

namespace {

class SystemClock final : public Clock {
 public:
  constexpr SystemClock() = default;
  MonoTime Now() const override { return std::chrono::steady_clock::now(); }
  int64_t WallMicros() const override {
    return std::chrono::system_clock::now().time_since_epoch() / kMicro;
  }
};

}  // namespace

const Clock& Clock::System() {
  // Never destroyed: threads may read the time while the process ends.
  static const SystemClock* const clock = new SystemClock;
  return *clock;
}

std::string internal::InMs(Nanos d) {
  return absl::StrFormat("%.1f ms", std::chrono::duration<double, std::milli>(d).count());
}

}  // namespace weft
