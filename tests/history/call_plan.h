// The plan of one call of a history, drawn from a seed: its style, its method, its fate.
//
// Threads  value
#ifndef WEFT_TESTS_HISTORY_CALL_PLAN_H_
#define WEFT_TESTS_HISTORY_CALL_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tests/history/call_kind.h"
#include "weft/core/random_bits.h"

namespace weft::test {

struct CallPlan {
  using Style = CallStyle;
  using Method = CallMethod;  // none that handlers call back
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
    kCallsBack,  // the handler calls its caller
    // Fates of streams alone:
    kCancelledMidway,  // by its own writer or reader
    kDropped,          // destroyed before its end
    kLeftUnread,       // finished while messages wait to be read
    kEndedEarly,       // with OK, by the handler
  };

  Style style = Style::kCallback;
  Method method = Method::kEcho;
  Fate fate = Fate::kPlain;
  // Nothing in this world takes so long.
  absl::Duration timeout = absl::Seconds(20);
  size_t bytes = 0;
  // For streams: messages in each direction, the one at which the fate comes, and the order in
  // which a handler that does both reads and writes.
  uint64_t messages = 0;
  uint64_t midway = 0;
  uint64_t order = 0;

  bool streams() const { return method >= Method::kAdd; }
  // True if another thread cancels it while it is under way.
  bool cancels() const { return fate == Fate::kCancelled || fate == Fate::kStopped; }
  bool may_be_cancelled() const {
    return cancels() || fate == Fate::kCancelledFirst || fate == Fate::kCancelledMidway ||
           fate == Fate::kDropped;
  }

  static CallPlan Drawn(uint64_t* random) {
    CallPlan plan;
    const auto below = [random](uint64_t n) { return internal::NextRandomBits(random) % n; };
    const uint64_t style = below(10);
    plan.style = style < 2 ? Style::kBlocking : style < 6 ? Style::kCallback : Style::kCoroutine;
    plan.method = Pick(kMethods, random);
    plan.bytes = below(300);
    plan.fate = plan.streams() ? Pick(kStreamFates, random) : Pick(kUnaryFates, random);
    plan.messages = below(24);
    // An idempotent call may be executed twice and would call back twice; an inline one must not
    // block.
    if (plan.method == Method::kInline || plan.method == Method::kIdempotent) {
      if (plan.fate == Fate::kCallsBack) plan.fate = Fate::kPlain;
    }
    if (plan.fate == Fate::kShort) {
      plan.timeout = absl::Microseconds(100 + static_cast<int64_t>(below(5'000)));
    } else if (plan.fate == Fate::kLarge) {
      plan.bytes = (plan.streams() ? 10'000 : 70'000) + below(200'000);
      plan.messages = 1 + below(4);
    } else if (plan.fate == Fate::kLeftUnread) {
      // Lists and talks alone leave something unread.
      if (plan.method == Method::kAdd) plan.method = Method::kList;
      plan.bytes = below(5'000);
      plan.messages = 1 + below(24);
    }
    plan.midway = plan.messages == 0 ? 0 : below(plan.messages);
    plan.order = below(4);
    return plan;
  }

  std::string ToString() const {
    static constexpr const char* kFates[] = {"plain",
                                             "cancelled by handle",
                                             "stopped by token",
                                             "cancelled first",
                                             "short deadline",
                                             "failing",
                                             "slow",
                                             "large",
                                             "wait for ready",
                                             "calls back",
                                             "cancelled midway",
                                             "dropped",
                                             "left unread",
                                             "ended early"};
    std::string text = absl::StrCat(NameOf(style), ", ", NameOf(method), ", ",
                                    kFates[static_cast<int>(fate)], ", ", bytes, " bytes");
    if (streams()) {
      absl::StrAppend(&text, ", ", messages, " messages, midway ", midway, ", order ", order);
    }
    return text;
  }

 private:
  template <typename T>
  struct Weight {
    T what;
    uint64_t of;
  };
  template <typename T, size_t kCount>
  static T Pick(const Weight<T> (&weights)[kCount], uint64_t* random) {
    uint64_t sum = 0;
    for (const Weight<T>& each : weights) sum += each.of;
    uint64_t left = internal::NextRandomBits(random) % sum;
    for (const Weight<T>& each : weights) {
      if (left < each.of) return each.what;
      left -= each.of;
    }
    return weights[0].what;
  }
  static constexpr Weight<Method> kMethods[] = {{Method::kEcho, 34},       {Method::kInline, 20},
                                                {Method::kIdempotent, 13}, {Method::kAdd, 10},
                                                {Method::kList, 10},       {Method::kTalk, 13}};
  static constexpr Weight<Fate> kUnaryFates[] = {
      {Fate::kPlain, 45},         {Fate::kCancelled, 8}, {Fate::kStopped, 6},
      {Fate::kCancelledFirst, 1}, {Fate::kShort, 10},    {Fate::kFailing, 10},
      {Fate::kSlow, 5},           {Fate::kLarge, 2},     {Fate::kWaitForReady, 13},
      {Fate::kCallsBack, 8}};
  static constexpr Weight<Fate> kStreamFates[] = {
      {Fate::kPlain, 28},        {Fate::kCancelled, 6},
      {Fate::kStopped, 5},       {Fate::kCancelledFirst, 1},
      {Fate::kShort, 8},         {Fate::kFailing, 8},
      {Fate::kSlow, 4},          {Fate::kLarge, 4},
      {Fate::kWaitForReady, 10}, {Fate::kCancelledMidway, 5},
      {Fate::kDropped, 5},       {Fate::kLeftUnread, 4},
      {Fate::kEndedEarly, 5},    {Fate::kCallsBack, 9}};
};

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_PLAN_H_
