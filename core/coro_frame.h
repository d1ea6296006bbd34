// The frame of a coroutine, with one owner who destroys it: a part of Coro and of what WhenAll
// awaits.
//
// Threads  value
// Owns     the frame
#ifndef WEFT_CORE_CORO_FRAME_H_
#define WEFT_CORE_CORO_FRAME_H_

#include <coroutine>
#include <utility>

#include "weft/core/requirements.h"

namespace weft::internal {

template <typename Promise>
class CoroFrame {
 public:
  using Handle = std::coroutine_handle<Promise>;

  explicit CoroFrame(Handle handle) : handle_(handle) {}
  CoroFrame(CoroFrame&& o) noexcept : handle_(std::exchange(o.handle_, nullptr)) {}
  CoroFrame& operator=(CoroFrame&& o) noexcept {
    std::swap(handle_, o.handle_);
    return *this;
  }
  ~CoroFrame() {
    if (handle_) handle_.destroy();
  }

  Handle handle() const { return handle_; }
  Promise& promise() const { return handle_.promise(); }

 private:
  Handle handle_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_CORO_FRAME_H_
