// Check, for fuzz targets: a condition that does not hold is named and ends the program, and the
// fuzzer keeps the input.
//
// Threads  any
#ifndef WEFT_TESTS_FUZZ_CHECK_H_
#define WEFT_TESTS_FUZZ_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace weft::fuzz {

inline void Check(bool condition,
                  const std::source_location& where = std::source_location::current()) {
  if (condition) return;
  std::fprintf(stderr, "%s:%u: a check does not hold\n", where.file_name(),
               static_cast<unsigned>(where.line()));
  std::abort();
}

}  // namespace weft::fuzz

#endif  // WEFT_TESTS_FUZZ_CHECK_H_
