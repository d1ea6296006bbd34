// The middle of the values that rounds have given; of an even number the upper of the two.
//
// Threads  any
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace weft::bench {

// 0 of none.
inline double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace weft::bench
