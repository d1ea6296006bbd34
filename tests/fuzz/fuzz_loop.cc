#include "tests/fuzz/fuzz_loop.h"

#include <chrono>

#include "tests/fuzz/check.h"
#include "tests/support/watched.h"

namespace weft::fuzz {

using namespace internal;

IoThread& FuzzLoop() {
  // The loop is made once and never destroyed: a thread for each input would cost more than the
  // input.
  static LoopGroup* const kGroup = [] {
    EventLoopOptions options;
    options.spin = std::chrono::milliseconds(1);
    return LoopGroup::Create(1, options)->release();
  }();
  return kGroup->At(0);
}

void RunOnLoop(const std::function<void()>& closure) {
  Notification done;
  FuzzLoop().loop->Post([&](TaskFate) {
    closure();
    done.Notify();
  });
  Check(done.Wait());
}

}  // namespace weft::fuzz
