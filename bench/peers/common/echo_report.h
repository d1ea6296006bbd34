// The figures that a client measured, and the JSON line that says them.
//
// Threads  value
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <string>

#include "bench/peers/common/latency_histogram.h"

namespace weft::bench {

struct EchoReport {
  LatencyHistogram latencies;  // of the good calls in the window
  double seconds = 0;          // the window's length
  double cpu_seconds = 0;      // user and system time of this process in the window
  uint64_t failed = 0;         // in the whole run
  uint64_t completed = 0;      // in the whole run, warm-up and failures too; not in the line
  double block_faults = -1;    // in the window; in the line, a call, unless negative

  uint64_t good() const { return latencies.total(); }

  std::string ToJson() const {
    const double calls = good() > 0 ? static_cast<double>(good()) : 1;
    char blocks[64] = "";
    if (block_faults >= 0) {
      std::snprintf(blocks, sizeof blocks, ", \"block_faults\": %.4f", block_faults / calls);
    }
    char line[512];
    std::snprintf(line, sizeof line,
                  "{\"qps\": %.1f, \"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, "
                  "\"ok\": %" PRIu64 ", \"err\": %" PRIu64 ", \"client_cpu_us\": %.3f%s}",
                  seconds > 0 ? static_cast<double>(good()) / seconds : 0.0,
                  latencies.Quantile(0.5) / 1e3, latencies.Quantile(0.99) / 1e3,
                  latencies.Quantile(0.999) / 1e3, good(), failed,
                  good() > 0 ? cpu_seconds * 1e6 / calls : 0.0, blocks);
    return line;
  }
};

}  // namespace weft::bench
