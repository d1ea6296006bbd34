#include "weft/core/output_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"

namespace weft::internal {

absl::Status OutputBudget::Check(size_t uncounted, size_t more, std::string_view side,
                                 std::string_view whose) const {
  const size_t waiting = held() + uncounted;
  // A message that is larger than the limit may go alone: it could never be sent else.
  if (limit_ == 0 || waiting == 0 || waiting + more <= limit_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(AbslView(side), ": ", waiting,
                   " bytes wait to be written on all connections, with ", AbslView(whose), " ",
                   more, " more than the limit of ", limit_, " (max_output_bytes of the runtime)"));
}

void OutputBudget::AwaitRoom(size_t more, absl::AnyInvocable<void() &&> told) {
  // Half of the limit, not the limit: else one freed byte would wake all who wait, and all but one
  // in vain.
  const size_t most =
      limit_ == 0 ? SIZE_MAX : std::min(limit_ / 2, limit_ - std::min(limit_, more));
  {
    MutexLock lock(mu_);
    waits_.push_back({most, std::move(told)});
    waiting_.store(true, std::memory_order_seq_cst);
  }
  Tell();
}

void OutputBudget::Tell() {
  std::vector<Wait> told;
  {
    MutexLock lock(mu_);
    const size_t now = held_.load(std::memory_order_seq_cst);
    std::erase_if(waits_, [&](Wait& wait) {
      if (now > wait.most) return false;
      told.push_back(std::move(wait));
      return true;
    });
    waiting_.store(!waits_.empty(), std::memory_order_seq_cst);
  }
  // Called without the mutex: each may ask for room again.
  for (Wait& wait : told) std::move(wait.told)();
}

}  // namespace weft::internal
