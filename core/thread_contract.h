// The words by which a class says which threads may touch it, checked by clang's thread safety
// analysis.
//
//   WEFT_LOOP_ONLY    a method that runs on its object's loop thread only
//   WEFT_LOOP_OWNED   a member that only the loop thread touches
//   WEFT_ANY_THREAD   in a class head: every public method may be called at once from anywhere
//
// There is one capability, `on_loop`, without an argument: the analysis cannot prove two loops
// equal across objects. *Which* loop is checked at run time, by EventLoop::AssertInLoop(), in
// builds without NDEBUG. Every entry from outside (a libevent callback, a posted task, a resumed
// coroutine) asserts, and so earns the capability for the rest of its body.
//
// Threads  any; macros only
#ifndef WEFT_CORE_THREAD_CONTRACT_H_
#define WEFT_CORE_THREAD_CONTRACT_H_

#include "weft/core/requirements.h"

#if defined(__clang__)
#define WEFT_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define WEFT_THREAD_ATTRIBUTE(x)
#endif

#define WEFT_CAPABILITY(name) WEFT_THREAD_ATTRIBUTE(capability(name))
#define WEFT_SCOPED_CAPABILITY WEFT_THREAD_ATTRIBUTE(scoped_lockable)
#define WEFT_GUARDED_BY(x) WEFT_THREAD_ATTRIBUTE(guarded_by(x))
#define WEFT_PT_GUARDED_BY(x) WEFT_THREAD_ATTRIBUTE(pt_guarded_by(x))
#define WEFT_REQUIRES(...) WEFT_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define WEFT_EXCLUDES(...) WEFT_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define WEFT_ACQUIRE(...) WEFT_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define WEFT_TRY_ACQUIRE(...) WEFT_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define WEFT_RELEASE(...) WEFT_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define WEFT_ASSERT_CAPABILITY(x) WEFT_THREAD_ATTRIBUTE(assert_capability(x))
#define WEFT_RETURN_CAPABILITY(x) WEFT_THREAD_ATTRIBUTE(lock_returned(x))
#define WEFT_NO_THREAD_ANALYSIS WEFT_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace weft::internal {

// The capability "this code runs on the loop thread it belongs to".
class WEFT_CAPABILITY("loop") LoopRole {};
inline constexpr LoopRole on_loop;

}  // namespace weft::internal

#define WEFT_LOOP_ONLY WEFT_REQUIRES(::weft::internal::on_loop)
#define WEFT_LOOP_OWNED WEFT_GUARDED_BY(::weft::internal::on_loop)
#define WEFT_ANY_THREAD

#endif  // WEFT_CORE_THREAD_CONTRACT_H_
