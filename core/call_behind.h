// Calls code of the user's behind the code of the user's that is on the stack: by the rule of
// CallbackQueue::CallBehind, for templates of public headers, which need no more of that queue.
//
// Threads  any
#ifndef WEFT_CORE_CALL_BEHIND_H_
#define WEFT_CORE_CALL_BEHIND_H_

#include "absl/functional/any_invocable.h"
#include "weft/core/requirements.h"

namespace weft {

// `what`: for the log, where it throws.
void CallBehind(const char* what, absl::AnyInvocable<void() &&> callback);

}  // namespace weft

#endif  // WEFT_CORE_CALL_BEHIND_H_
