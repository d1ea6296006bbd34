// BlockOn(coro): runs a coroutine from a thread that may wait, and returns what it returns.
//
//   int main() {
//     absl::Status status = weft::BlockOn(Work());      // Work() is a Coro<void>
//     absl::StatusOr<int> n = weft::BlockOn(Count());   // a Coro<int>, or a Coro<StatusOr<int>>
//
// The coroutine runs on this thread, from its beginning on and behind each wait that names no
// executor of its own; so it may wait, too. A coroutine that it starts by Spawn goes on as if
// BlockOn were not there, and may outlive it. In a handler BlockOn holds a worker, as a blocking
// call does.
//
// Threads  any but an I/O thread and a simulation's, where it would wait for itself
// Owns     the coroutine
// Errors   FAILED_PRECONDITION where it must not wait: the coroutine has not begun then. Exceptions
//          of the coroutine come out of BlockOn
// Ends     when the coroutine ends; there is no other end
#ifndef WEFT_CORE_BLOCK_ON_H_
#define WEFT_CORE_BLOCK_ON_H_

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/blocked_thread.h"
#include "weft/core/coro.h"

namespace weft {

namespace internal {

template <typename T>
struct BlockedResult {
  using Type = absl::StatusOr<T>;
};
template <>
struct BlockedResult<void> {
  using Type = absl::Status;
};
template <>
struct BlockedResult<absl::Status> {
  using Type = absl::Status;
};
template <typename T>
struct BlockedResult<absl::StatusOr<T>> {
  using Type = absl::StatusOr<T>;
};

}  // namespace internal

// Returns absl::Status for a Coro<void> and a Coro<absl::Status>, and absl::StatusOr<T> for a
// Coro<absl::StatusOr<T>> and any other Coro<T>.
template <typename T>
[[nodiscard]] typename internal::BlockedResult<T>::Type BlockOn(Coro<T> coro) {
  if (absl::Status s = internal::BlockedThread::CheckMayWait("BlockOn"); !s.ok()) return s;
  internal::CoroOutcome<T> end;
  internal::BlockedThread thread;
  thread.Run([&] {
    internal::RunCoro(std::move(coro),
                      [&](std::optional<internal::CoroValue<T>> value, std::exception_ptr thrown) {
                        if constexpr (!std::is_void_v<T>) {
                          if (value.has_value()) end.result.emplace(*std::move(value));
                        }
                        end.error = std::move(thrown);
                        thread.End();
                      });
  });
  if constexpr (std::is_void_v<T>) {
    end.Take();
    return absl::OkStatus();
  } else {
    return end.Take();
  }
}

}  // namespace weft

#endif  // WEFT_CORE_BLOCK_ON_H_
