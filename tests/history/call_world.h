// Where the calls of a history happen: targets over servers that come and go, and what breaks
// between them.
//
// Threads  any: target, Summary and Links
#ifndef WEFT_TESTS_HISTORY_CALL_WORLD_H_
#define WEFT_TESTS_HISTORY_CALL_WORLD_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/rpc/channel.h"

namespace weft::test {

class CallWorld {
 public:
  virtual ~CallWorld() = default;

  virtual CallTarget& target(size_t n) = 0;
  // When no call is under way any more: ends the trouble and the servers, so that no handler runs.
  virtual void Settle() = 0;
  // A summary of its events, for people.
  virtual std::string Summary() const = 0;
  // After Settle: connections that a server ended because of what came on them. No world changes
  // bytes.
  virtual int64_t framing_faults() const = 0;
  // The channels and their connections as they are now, a line each. Before Settle.
  virtual std::string Links() const = 0;
};

inline std::string LinksOf(absl::string_view name, const Channel& channel) {
  const Channel::Counts counts = channel.counts();
  std::string text =
      absl::StrCat("channel ", name, ": ", counts.connects, " connects, ", counts.failed_connects,
                   " failed, ", counts.resent, " resent, ", counts.retries, " retries\n");
  for (const ConnectionInfo& link : channel.connections()) {
    const std::string_view state = ConnectionStateName(link.state);
    absl::StrAppend(&text, "    link ", link.id, " to ", link.peer, ": ",
                    absl::string_view(state.data(), state.size()), " for ",
                    absl::FormatDuration(link.age), ", ", link.calls, " calls, ", link.bytes_in,
                    " bytes in, ", link.bytes_out, " out\n");
  }
  return text;
}

}  // namespace weft::test

#endif  // WEFT_TESTS_HISTORY_CALL_WORLD_H_
