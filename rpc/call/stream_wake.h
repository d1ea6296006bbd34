// The way to the waiter for something of a stream.
//
// Threads  value; its stream's mutex guards it. It is called without the mutex, once, by any thread
#ifndef WEFT_RPC_CALL_STREAM_WAKE_H_
#define WEFT_RPC_CALL_STREAM_WAKE_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "weft/core/requirements.h"

namespace weft::internal {

using StreamWake = absl::AnyInvocable<void() &&>;

// Empties `from`. Null: no waiter was there.
inline StreamWake TakeWake(StreamWake& from) {
  StreamWake wake;
  if (from) wake.swap(from);
  return wake;
}

inline void CallIfSet(StreamWake& wake) {
  if (wake) std::move(wake)();
}

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_WAKE_H_
