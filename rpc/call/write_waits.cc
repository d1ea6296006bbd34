#include "weft/rpc/call/write_waits.h"

#include "absl/strings/str_cat.h"

namespace weft::internal {

WriteWaits::Wait::~Wait() {
  if (counted_) waits_.pool_.peer_waits().End();
}

absl::Status WriteWaits::Wait::Begin() {
  // Threads that a handler has made itself take no place from other handlers.
  if (counted_ || Executor::OfThread() != &waits_.pool_) return absl::OkStatus();
  counted_ = waits_.pool_.peer_waits().TryBegin();
  if (counted_) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the stream's reader gives no credit, and ", waits_.pool_.peer_waits().max(),
                   " handlers of the pool wait for such readers already: half of its ",
                   waits_.pool_.max_threads(), " threads (", waits_.threads_setting_,
                   "); a handler that does not block holds none"));
}

absl::Status WriteWaits::TooLong() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("a blocking write of the handler waited for ", InMs(most_),
                   " for the stream's reader, which gave no credit (", setting_, ")"));
}

}  // namespace weft::internal
