// Ends a benchmark program that cannot go on, saying why.
//
// Threads  any thread
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

namespace weft::bench {

// Exit status 2. No destructors run: other threads may be in the middle of a call.
[[noreturn]] inline void Fail(const std::string& why) {
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", why.c_str());
  _exit(2);
}

}  // namespace weft::bench
