// The CPU time that this process has used, in user and kernel mode.
//
// Threads  any
#pragma once

#include <sys/resource.h>

namespace weft::bench {

inline double ProcessCpuSeconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace weft::bench
