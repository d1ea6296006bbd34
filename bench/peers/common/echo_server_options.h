// The options of an echo server.
//
// Threads  value
#pragma once

#include <cstdint>

#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"

namespace weft::bench {

struct EchoServerOptions {
  int port = 0;
  int io_threads = 1;
  int workers = 2;
  uint64_t sleep_every = 0;  // every n-th request blocks its handler's thread; 0: none does
  uint64_t sleep_us = 0;     // for so long

  explicit EchoServerOptions(Arguments& arguments)
      : port(static_cast<int>(arguments.Integer("port", 0, 1, 65535))),
        io_threads(static_cast<int>(arguments.Integer("io", 1, 1, 1024))),
        workers(static_cast<int>(arguments.Integer("workers", 2, 1, 1024))),
        sleep_every(
            static_cast<uint64_t>(arguments.Integer("sleep-every", 0, 0, INT64_C(1) << 52))),
        sleep_us(static_cast<uint64_t>(arguments.Integer("sleep-us", 0, 0, 60'000'000))) {
    if (port == 0) Fail("--port is needed");
  }
};

}  // namespace weft::bench
