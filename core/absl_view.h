// A std::string_view for Abseil's functions. Where Abseil was built without C++17, as Debian's is,
// absl::string_view is a type of its own, and absl::StrCat takes only that.
//
// Threads  value
#ifndef WEFT_CORE_ABSL_VIEW_H_
#define WEFT_CORE_ABSL_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"
#include "weft/core/requirements.h"

namespace weft::internal {

inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace weft::internal

#endif  // WEFT_CORE_ABSL_VIEW_H_
