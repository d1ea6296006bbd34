// The settings that all CallStarters of one kind share.
//
// Threads  value; constant once a CallStarter has it
#ifndef WEFT_RPC_CLIENT_START_CONFIG_H_
#define WEFT_RPC_CLIENT_START_CONFIG_H_

#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>

#include "weft/core/clock.h"
#include "weft/rpc/base/message_limit.h"
#include "weft/rpc/channel_options.h"
#include "weft/rpc/client/attempt_plan.h"
#include "weft/rpc/client/call_stats.h"
#include "weft/rpc/protocol/session_limits.h"
#include "weft/rpc/start_options.h"

namespace weft::internal {

struct StartConfig {
  // Makes the settings that a channel's options say, with these limits. `owner`: of the limits, for
  // texts.
  static StartConfig Of(const ChannelOptions& channel, const SessionLimits& limits,
                        std::string_view owner) {
    StartOptions options;
    options.timeout = channel.timeout;
    options.retry = channel.retry;
    options.hedging = channel.hedging;
    options.method_policies = channel.method_policies;
    options.retry_budget = channel.retry_budget;
    options.compression = channel.compression;
    options.interceptors = channel.interceptors;
    return StartConfig(std::move(options), limits, owner, std::make_shared<CallStats>());
  }
  StartConfig(StartOptions starts, const SessionLimits& limits, std::string_view owner,
              std::shared_ptr<CallStats> counts = nullptr)
      : options(std::move(starts)),
        default_timeout(ToNanos(options.timeout)),
        has_policies(HasPolicies(options)),
        max_message{limits.max_message_bytes, owner},
        max_waiting(limits.MaxOutput()),
        stats(std::move(counts)) {}

  const StartOptions options;
  const Nanos default_timeout;
  const bool has_policies;
  // Bytes of one request, and of all that wait for a link.
  const MessageLimit max_message;
  const size_t max_waiting;
  // Counts the calls of all the starters, by method; null: they are not counted.
  const std::shared_ptr<CallStats> stats;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_START_CONFIG_H_
