// CallbackQueue::CallBehind for templates of public headers, which need not include the queue.
//
// A callback of the application runs once the application's code on this stack has returned.
//
// Threads  any
#ifndef WEFT_CORE_CALL_BEHIND_H_
#define WEFT_CORE_CALL_BEHIND_H_

#include "absl/functional/any_invocable.h"
#include "weft/core/requirements.h"

namespace weft::internal {

// `what`: for the log, where it throws.
void CallBehind(const char* what, absl::AnyInvocable<void() &&> callback);

}  // namespace weft::internal

#endif  // WEFT_CORE_CALL_BEHIND_H_
