// The counts of a server, kept by all its loops together.
//
// Threads  any
#ifndef WEFT_RPC_SERVER_SERVER_COUNTS_H_
#define WEFT_RPC_SERVER_SERVER_COUNTS_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "weft/core/input_budget.h"
#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/protocol/connection_list.h"
#include "weft/rpc/server_options.h"

namespace weft::internal {

struct ServerCounts {
  // Connections: accepted since the start, and open now.
  std::atomic<int64_t> accepted{0};
  std::atomic<int64_t> open{0};
  CloseCounters closed;
  ConnectionList connections;
  // The accounts of input that connections hold: of all of them, and of those whose client is not
  // known yet.
  const std::shared_ptr<InputBudget> input, unknown_input;
  // The gate of all connections.
  const std::shared_ptr<InflateGate> gate;

  explicit ServerCounts(const ServerOptions& options)
      : connections(options.on_connection),
        input(std::make_shared<InputBudget>(options.max_input_bytes,
                                            "max_input_bytes of the server")),
        unknown_input(std::make_shared<InputBudget>(options.max_unknown_input_bytes,
                                                    "max_unknown_input_bytes of the server")),
        gate(std::make_shared<InflateGate>(options.limits.inflate, "server")) {}
};

}  // namespace weft::internal

#endif  // WEFT_RPC_SERVER_SERVER_COUNTS_H_
