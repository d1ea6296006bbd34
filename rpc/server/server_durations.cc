#include "weft/rpc/server/server_durations.h"

#include "weft/core/duration_check.h"
#include "weft/rpc/protocol/option_durations.h"

namespace weft::internal {

absl::Status CheckDurations(const ServerOptions& options) {
  using Takes = DurationCheck::Takes;
  absl::Status s = DurationCheck::All(
      "ServerOptions", {{"spin", options.spin, Takes::kFinite},
                        {"max_connection_age", options.max_connection_age},
                        {"max_connection_age_grace", options.max_connection_age_grace},
                        {"idle_timeout", options.idle_timeout},
                        {"max_heartbeat_interval", options.max_heartbeat_interval},
                        {"max_write_wait", options.max_write_wait},
                        {"drain", options.drain}});
  s.Update(DurationCheck::All("OverloadOptions",
                              {{"queue_target", options.overload.queue_target, Takes::kFinite},
                               {"queue_interval", options.overload.queue_interval}}));
  s.Update(
      DurationCheck::All("StartOptions", {{"timeout", options.calls.timeout, Takes::kAboveZero}}));
  s.Update(CheckStartDurations(options.calls));
  s.Update(CheckDurations(options.limits));
  return s;
}

}  // namespace weft::internal
