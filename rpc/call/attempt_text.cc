#include "weft/rpc/call/attempt_text.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {

absl::Status WithAttempt(const absl::Status& status, const MethodInfo& method,
                         std::string_view attempt) {
  if (status.ok()) return status;
  const std::string call = absl::StrCat("call ", std::string(method.full_name));
  absl::string_view rest = status.message();
  // Errors of this side name the call already; errors of a handler do not.
  if (absl::StartsWith(rest, absl::StrCat(call, ": "))) rest.remove_prefix(call.size() + 2);
  return WithMessage(status, absl::StrCat(call, ": ", AbslView(attempt), ": ", rest));
}

absl::Status WithSuffix(const absl::Status& status, std::string_view suffix) {
  if (status.ok()) return status;
  return WithMessage(status, absl::StrCat(status.message(), AbslView(suffix)));
}

}  // namespace weft::internal
