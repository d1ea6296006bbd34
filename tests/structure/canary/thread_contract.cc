// Compiles as it stands; with WEFT_FAULT it breaks one thread contract, which clang has to refuse.
//
//   1  a member guarded by a mutex, read without it
//   2  a member owned by the loop, written from any thread
//   3  a method of the loop, called from any thread
//   4  a method of the loop, called by a task posted from it that does not assert
#include "weft/core/thread_contract.h"

#include <functional>

#include "weft/core/mutex.h"

namespace {

class Canary {
 public:
  int guarded() {
#if WEFT_FAULT != 1
    weft::internal::MutexLock lock(mu_);
#endif
    return guarded_;
  }

  void Turn() WEFT_LOOP_ONLY { ++turns_; }

  void FromAnyThread() {
#if WEFT_FAULT == 2
    ++turns_;
#elif WEFT_FAULT == 3
    Turn();
#endif
  }

  std::function<void()> Posted() WEFT_LOOP_ONLY {
#if WEFT_FAULT == 4
    return [this] { Turn(); };
#else
    return [this] {
      AssertInLoop();
      Turn();
    };
#endif
  }

 private:
  void AssertInLoop() const WEFT_ASSERT_CAPABILITY(weft::internal::on_loop) {}

  weft::internal::Mutex mu_;
  int guarded_ WEFT_GUARDED_BY(mu_) = 0;
  int turns_ WEFT_LOOP_OWNED = 0;
};

}  // namespace

int main() {
  Canary canary;
  canary.FromAnyThread();
  return canary.guarded();
}
