#include "weft/rpc/call/client_context.h"

namespace weft {

using namespace internal;

void ClientContext::Cancel() {
  CallHandle handle;
  {
    MutexLock lock(mu_);
    cancelled_ = true;
    handle = handle_;
  }
  // Outside the lock: the carrier calls ContextWriter's SetHandle and SetEnd, which take `mu_`.
  handle.Cancel();
}

bool ClientContext::cancelled() const {
  MutexLock lock(mu_);
  return cancelled_;
}

}  // namespace weft
