// WEFT_DCHECK: a statement that only a bug in weft or in its use can make false.
//
// In builds without NDEBUG a false one prints itself and traps; in release builds it costs nothing
// and is not evaluated. Input from a peer or from the environment is never checked this way: it
// gets a Status.
//
// Threads  any
#ifndef WEFT_CORE_CHECK_H_
#define WEFT_CORE_CHECK_H_

#ifndef NDEBUG
#include <cstdio>

#include "weft/core/requirements.h"
#define WEFT_DCHECK(condition)                                                           \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      __builtin_trap();                                                                  \
    }                                                                                    \
  } while (false)
#else
#define WEFT_DCHECK(condition) \
  do {                         \
  } while (false && (condition))
#endif

#endif  // WEFT_CORE_CHECK_H_
