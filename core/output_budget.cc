#include "weft/core/output_budget.h"

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status OutputBudget::Check(size_t uncounted, size_t more, std::string_view side,
                                 std::string_view whose) const {
  const size_t waiting = held() + uncounted;
  if (limit_ == 0 || waiting == 0 || waiting + more <= limit_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(absl::string_view(side.data(), side.size()), ": ", waiting,
                   " bytes wait to be written on all connections, with ",
                   absl::string_view(whose.data(), whose.size()), " ", more,
                   " more than the limit of ", limit_, " (max_output_bytes of the runtime)"));
}

}  // namespace weft
