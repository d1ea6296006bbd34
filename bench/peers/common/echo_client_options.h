// The options of an echo client: C connections with K calls outstanding on each.
//
// Threads  value
#pragma once

#include <cstddef>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"

namespace weft::bench {

struct EchoClientOptions {
  int port = 0;
  int connections = 1;
  int port_step = 0;    // from a connection's port to the next one's; a program's own choice
  int inflight = 1;     // a connection
  size_t payload = 32;  // bytes
  double seconds = 3;   // of the counted window
  double warmup = 1;    // seconds before it

  explicit EchoClientOptions(Arguments& arguments)
      : port(static_cast<int>(arguments.Integer("port", 0, 1, 65535))),
        connections(static_cast<int>(arguments.Integer("conns", 1, 1, 65536))),
        inflight(static_cast<int>(arguments.Integer("inflight", 1, 1, 1 << 20))),
        payload(static_cast<size_t>(arguments.Integer("payload", 32, 0, 64 << 20))),
        seconds(arguments.Real("seconds", 3, 0.001, 86400)),
        warmup(arguments.Real("warmup", 1, 0, 86400)) {
    if (port == 0) Fail("--port is needed");
  }

  // A server for each connection, on ports that follow each other, or the same for all.
  int PortOf(int connection) const { return port + connection * port_step; }

  // One call outstanding in all: the latency case, which uses blocking calls.
  bool IsOneCaller() const { return connections == 1 && inflight == 1; }
};

}  // namespace weft::bench
