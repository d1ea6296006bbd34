// The peer of an error or a log line, named once and at the end, where lines that differ in it
// alone still group.
//
// Threads  any
// Errors   none
#ifndef WEFT_CORE_NAMED_PEER_H_
#define WEFT_CORE_NAMED_PEER_H_

#include <string>
#include <string_view>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD NamedPeer {
 public:
  // True if `peer` stands in `text` as a whole: "10.0.0.1:80" does not in "10.0.0.1:8000".
  static bool In(std::string_view text, std::string_view peer);
  // " (`role` `peer`)" and " (`role` `peer`, after 3.0 ms)", for the end of a text.
  static std::string Ending(std::string_view role, std::string_view peer);
  static std::string Ending(std::string_view role, std::string_view peer, Nanos took);
  // "`text` (`role` `peer`)", or `text` as it is where it names the peer. `role`: "to", "from".
  static std::string AtEnd(std::string_view text, std::string_view role, std::string_view peer);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_NAMED_PEER_H_
