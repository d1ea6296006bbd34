// A value that one thread changes and another waits for.
//
// Tests wait for what they expect, never for time to pass. Each wait has the same generous limit,
// only so that a test whose event never comes fails instead of hanging.
//
// Threads  any
#ifndef WEFT_TESTS_SUPPORT_WATCHED_H_
#define WEFT_TESTS_SUPPORT_WATCHED_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>

namespace weft {

inline constexpr std::chrono::seconds kTestPatience{30};

template <typename T>
class Watched {
 public:
  Watched() = default;
  explicit Watched(T value) : value_(std::move(value)) {}

  // Changes it by `change(T&)`. Waiters are told under the lock: the last of them may destroy this.
  template <typename Change>
  void Update(Change&& change) {
    std::lock_guard<std::mutex> lock(mu_);
    std::forward<Change>(change)(value_);
    changed_.notify_all();
  }
  void Set(T value) {
    Update([&](T& v) { v = std::move(value); });
  }
  T Get() const {
    std::lock_guard<std::mutex> lock(mu_);
    return value_;
  }
  // False when `condition(const T&)` did not come true in time.
  template <typename Condition>
  [[nodiscard]] bool WaitFor(Condition&& condition) const {
    std::unique_lock<std::mutex> lock(mu_);
    return changed_.wait_for(lock, kTestPatience, [&] { return condition(value_); });
  }
  [[nodiscard]] bool WaitForValue(const T& wanted) const {
    return WaitFor([&](const T& v) { return v == wanted; });
  }

 private:
  mutable std::mutex mu_;
  mutable std::condition_variable changed_;
  T value_{};
};

// Something that happens once.
class Notification {
 public:
  void Notify() { happened_.Set(true); }
  bool HasHappened() const { return happened_.Get(); }
  [[nodiscard]] bool Wait() const { return happened_.WaitForValue(true); }

 private:
  Watched<bool> happened_{false};
};

// For what gives no signal, such as a thread that goes to sleep: looks again until it is so, within
// the patience.
[[nodiscard]] bool PollUntil(const std::function<bool()>& condition);

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_WATCHED_H_
