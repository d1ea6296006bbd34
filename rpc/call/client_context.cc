#include "weft/rpc/call/client_context.h"

#include <utility>

namespace weft {

void ClientContext::Cancel() {
  CallHandle handle;
  {
    MutexLock lock(mu_);
    cancelled_ = true;
    handle = handle_;
  }
  // Outside the lock: the carrier calls SetHandle and SetEnd, which take `mu_`.
  handle.Cancel();
}

bool ClientContext::cancelled() const {
  MutexLock lock(mu_);
  return cancelled_;
}

void ClientContext::SetHandle(CallHandle handle) {
  bool cancelled;
  {
    MutexLock lock(mu_);
    handle_ = handle;
    cancelled = cancelled_;
  }
  // A Cancel that came before the handle was there found none to cancel.
  if (cancelled) handle.Cancel();
}

void ClientContext::SetInitialMetadata(std::string_view initial_metadata) {
  (void)initial_metadata_.ReadFrom(initial_metadata);  // up to damaged bytes
}

void ClientContext::SetEnd(Metadata trailers, absl::Duration handler_time,
                           bool may_have_been_executed, int attempts) {
  trailers_ = std::move(trailers);
  handler_time_ = handler_time;
  may_have_been_executed_ = may_have_been_executed;
  attempts_ = attempts;
  // A Cancel from here on does nothing, and the context no longer keeps the carrier's memory.
  MutexLock lock(mu_);
  handle_ = CallHandle();
}

}  // namespace weft
