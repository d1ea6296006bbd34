// The two ends of a connection in memory: who dialled whom.
//
// Threads  value
#ifndef WEFT_CORE_IN_PROCESS_ROUTE_H_
#define WEFT_CORE_IN_PROCESS_ROUTE_H_

#include <cstdint>
#include <string>

#include "weft/core/requirements.h"

namespace weft {

struct InProcessRoute {
  uint64_t connection = 0;
  // The hosts of the two networks it was dialled from and listened on (InProcessNetwork::For);
  // empty: of none.
  std::string from = {};
  std::string to = {};
  // The name that was dialled, behind "inproc:".
  std::string name = {};
};

}  // namespace weft

#endif  // WEFT_CORE_IN_PROCESS_ROUTE_H_
