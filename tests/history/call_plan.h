// What one call of a history is to be, drawn from a seed: its style, its method, what happens to
// it.
//
// Threads  value
#ifndef WEFT_TESTS_HISTORY_CALL_PLAN_H_
#define WEFT_TESTS_HISTORY_CALL_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "weft/core/random_bits.h"

namespace weft::test {

struct CallPlan {
  enum class Style : uint8_t { kBlocking, kCallback, kCoroutine };
  enum class Method : uint8_t { kEcho, kInline, kIdempotent };
  enum class Fate : uint8_t {
    kPlain,
    kCancelled,       // by its handle
    kStopped,         // by a stop token
    kCancelledFirst,  // before it starts
    kShort,           // a deadline that it may not keep
    kFailing,
    kSlow,
    kLarge,
    kWaitForReady,
  };

  Style style = Style::kCallback;
  Method method = Method::kEcho;
  Fate fate = Fate::kPlain;
  absl::Duration timeout = absl::Seconds(2);
  size_t bytes = 0;

  bool cancels() const { return fate == Fate::kCancelled || fate == Fate::kStopped; }

  static CallPlan Drawn(uint64_t* random) {
    CallPlan plan;
    const auto below = [random](uint64_t n) { return NextRandomBits(random) % n; };
    const uint64_t style = below(10);
    plan.style = style < 2 ? Style::kBlocking : style < 6 ? Style::kCallback : Style::kCoroutine;
    const uint64_t method = below(10);
    plan.method = method < 5 ? Method::kEcho : method < 8 ? Method::kInline : Method::kIdempotent;
    plan.bytes = below(300);
    const uint64_t fate = below(100);
    if (fate < 8) {
      plan.fate = Fate::kCancelled;
    } else if (fate < 14) {
      plan.fate = Fate::kStopped;
    } else if (fate < 15) {
      plan.fate = Fate::kCancelledFirst;
    } else if (fate < 25) {
      plan.fate = Fate::kShort;
      plan.timeout = absl::Microseconds(100 + static_cast<int64_t>(below(5'000)));
    } else if (fate < 35) {
      plan.fate = Fate::kFailing;
    } else if (fate < 40) {
      plan.fate = Fate::kSlow;
    } else if (fate < 42) {
      plan.fate = Fate::kLarge;
      plan.bytes = 70'000 + below(200'000);
    } else if (fate < 55) {
      plan.fate = Fate::kWaitForReady;
    }
    return plan;
  }

  std::string ToString() const {
    static constexpr const char* kStyles[] = {"blocking", "callback", "coroutine"};
    static constexpr const char* kMethods[] = {"", ", inline", ", idempotent"};
    static constexpr const char* kFates[] = {"plain",
                                             "cancelled by handle",
                                             "stopped by token",
                                             "cancelled first",
                                             "short deadline",
                                             "failing",
                                             "slow",
                                             "large",
                                             "wait for ready"};
    return absl::StrCat(kStyles[static_cast<int>(style)], kMethods[static_cast<int>(method)], ", ",
                        kFates[static_cast<int>(fate)]);
  }
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_PLAN_H_
