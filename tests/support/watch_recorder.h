// Counts what a watch reports, and may do something at each.
//
// Threads  the loop's; the counts any
#ifndef WEFT_TESTS_SUPPORT_WATCH_RECORDER_H_
#define WEFT_TESTS_SUPPORT_WATCH_RECORDER_H_

#include <functional>

#include "tests/support/watched.h"
#include "weft/core/watch.h"

namespace weft {

class WatchRecorder final : public internal::WatchEvents {
 public:
  void OnReadable() override {
    reads.Update([](int& n) { ++n; });
    if (on_readable) on_readable();
  }
  void OnWritable() override {
    writes.Update([](int& n) { ++n; });
    if (on_writable) on_writable();
  }
  Watched<int> reads{0}, writes{0};
  std::function<void()> on_readable, on_writable;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_WATCH_RECORDER_H_
