#include "weft/core/call_behind.h"

#include <utility>

#include "weft/core/callback_queue.h"

namespace weft::internal {

void CallBehind(const char* what, absl::AnyInvocable<void() &&> callback) {
  CallbackQueue::CallBehind(what, std::move(callback));
}

}  // namespace weft::internal
