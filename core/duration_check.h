// Checks the durations of options where their owner is made, so that no value means what its
// comment does not say. Negative ones are always refused.
//
// Threads  value; functions without state
// Errors   INVALID_ARGUMENT with the option's name, what it takes, and what it was given
#ifndef WEFT_CORE_DURATION_CHECK_H_
#define WEFT_CORE_DURATION_CHECK_H_

#include <initializer_list>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "weft/core/requirements.h"

namespace weft::internal {

struct DurationCheck {
  enum class Takes {
    kZeroOrMore,
    kAboveZero,
    kFinite,  // zero or more, but not infinite
  };

  std::string_view name;
  absl::Duration value;
  Takes takes = Takes::kZeroOrMore;

  // The first fault, or OK. `owner`: "ChannelOptions".
  static absl::Status All(std::string_view owner, std::initializer_list<DurationCheck> checks);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_DURATION_CHECK_H_
