// Page faults that a runtime's new blocks have cost until now, at most: a block's pages are touched
// for the first time once.
//
// Threads  any
#pragma once

#include <cstddef>

#include "weft/core/loop_group.h"
#include "weft/core/runtime.h"

namespace weft::bench {

inline double BlockFaults(Runtime& runtime) {
  double pages = 0;
  for (size_t i = 0; i < runtime.loops().size(); ++i) {
    pages += static_cast<double>(runtime.loops().At(i).loop->blocks().counts().made_bytes) / 4096;
  }
  return pages;
}

}  // namespace weft::bench
