#include "weft/core/duration_check.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace weft::internal {
namespace {

// Null: the value is one that the option takes.
const char* ExpectedInstead(const DurationCheck& check) {
  switch (check.takes) {
    case DurationCheck::Takes::kZeroOrMore:
      return check.value < absl::ZeroDuration() ? "zero or more" : nullptr;
    case DurationCheck::Takes::kAboveZero:
      return check.value <= absl::ZeroDuration() ? "more than zero" : nullptr;
    case DurationCheck::Takes::kFinite:
      return check.value < absl::ZeroDuration() || check.value == absl::InfiniteDuration()
                 ? "zero or more, and finite"
                 : nullptr;
  }
  return nullptr;
}

}  // namespace

absl::Status DurationCheck::All(std::string_view owner,
                                std::initializer_list<DurationCheck> checks) {
  for (const DurationCheck& check : checks) {
    const char* const expected = ExpectedInstead(check);
    if (expected == nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(owner), "::", std::string(check.name), ": expected ", expected,
                     ", got ", absl::FormatDuration(check.value)));
  }
  return absl::OkStatus();
}

}  // namespace weft::internal
