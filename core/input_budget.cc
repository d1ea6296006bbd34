#include "weft/core/input_budget.h"

#include "absl/strings/str_cat.h"

namespace weft::internal {

absl::Status InputBudget::Check(size_t more) const {
  const size_t now = held();
  if (limit_ == 0 || (more <= limit_ && now <= limit_ - more)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(now, " bytes of input are held on all connections; ", more,
                   " more are over the limit of ", limit_, " (", setting_, ")"));
}

}  // namespace weft::internal
