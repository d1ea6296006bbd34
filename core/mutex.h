// std::mutex and std::condition_variable with clang's thread annotations.
//
// Not absl::Mutex: Debian's abseil is built without NDEBUG, so each of its locks runs a
// process-wide deadlock detector, and thread sanitizer reports false races on it.
//
// Built with WEFT_COUNT_LOCKS it counts how often a mutex was taken, for measurements.
//
// Threads  any
#ifndef WEFT_CORE_MUTEX_H_
#define WEFT_CORE_MUTEX_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "weft/core/thread_contract.h"

namespace weft::internal {

#ifdef WEFT_COUNT_LOCKS
inline std::atomic<uint64_t> locks_taken{0};
inline constexpr bool kCountsLocks = true;
inline void CountLock() { locks_taken.fetch_add(1, std::memory_order_relaxed); }
#else
inline constexpr bool kCountsLocks = false;
inline void CountLock() {}
#endif

// How often mutexes were taken in this process, also after waiting for a condition; 0 where they
// are not counted.
inline uint64_t LocksTaken() {
#ifdef WEFT_COUNT_LOCKS
  return locks_taken.load(std::memory_order_relaxed);
#else
  return 0;
#endif
}

class WEFT_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() WEFT_ACQUIRE() {
    mu_.lock();
    CountLock();
  }
  void Unlock() WEFT_RELEASE() { mu_.unlock(); }
  bool TryLock() WEFT_TRY_ACQUIRE(true) {
    const bool taken = mu_.try_lock();
    if (taken) CountLock();
    return taken;
  }
  // Tells the analysis, which cannot see it, that the caller holds this mutex; checks nothing.
  void AssumeHeld() WEFT_ASSERT_CAPABILITY(this) {}

 private:
  friend class CondVar;
  std::mutex mu_;
};

// Holds a mutex for a scope; may be let go early and taken again.
class WEFT_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mu) WEFT_ACQUIRE(mu) : mu_(mu) { mu_.Lock(); }
  ~MutexLock() WEFT_RELEASE() {
    if (held_) mu_.Unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void Unlock() WEFT_RELEASE() {
    held_ = false;
    mu_.Unlock();
  }
  void Lock() WEFT_ACQUIRE() {
    mu_.Lock();
    held_ = true;
  }

 private:
  Mutex& mu_;
  bool held_ = true;
};

class CondVar {
 public:
  void Wait(Mutex& mu) WEFT_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    cv_.wait(lock);
    CountLock();
    lock.release();
  }
  // False when the time came first.
  bool WaitFor(Mutex& mu, std::chrono::nanoseconds timeout) WEFT_REQUIRES(mu) {
    std::unique_lock<std::mutex> lock(mu.mu_, std::adopt_lock);
    const std::cv_status status = cv_.wait_for(lock, timeout);
    CountLock();
    lock.release();
    return status == std::cv_status::no_timeout;
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace weft::internal

#endif  // WEFT_CORE_MUTEX_H_
