// The events of a simulation, a line each, and a hash of all of them.
//
//   0.001337000 a>b#4 a writes 120 9f86d081884c7d65   time, dialler > listener # connection, event
//   0.002000000 kill c (reset)
//
// Lines hold names, virtual times, sizes, and hashes of bytes that are the same in every process:
// two runs with one seed have equal lines. The hash also covers which piece ran in each step.
//
// Threads  one: the simulation's
// Owns     its lines
#ifndef WEFT_RPC_MESH_SIMULATION_TRACE_H_
#define WEFT_RPC_MESH_SIMULATION_TRACE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "weft/core/clock.h"

namespace weft {

class SimulationTrace {
 public:
  // `time`: the simulation's clock, which began at `start`. Keeps the last `max_lines` lines.
  SimulationTrace(const MonoTime& time, MonoTime start, size_t max_lines)
      : time_(time), start_(start), max_lines_(max_lines) {}
  SimulationTrace(const SimulationTrace&) = delete;
  SimulationTrace& operator=(const SimulationTrace&) = delete;

  // Adds a line of a program or a test. It must not hold anything that differs from process to
  // process.
  void Note(std::string_view text);
  // Adds `value` to the hash without a line.
  void Mix(uint64_t value);

  uint64_t hash() const { return hash_; }
  // Number of all lines, also of those not kept.
  size_t size() const { return size_; }
  const std::deque<std::string>& lines() const { return lines_; }
  // The kept lines, each with its line end.
  std::string Text() const;

  // Hashes bytes that come in pieces: begin with kBasis.
  static constexpr uint64_t kBasis = 0xcbf29ce484222325u;
  static uint64_t Hash(uint64_t so_far, const void* data, size_t size);

 private:
  const MonoTime& time_;
  const MonoTime start_;
  const size_t max_lines_;
  std::deque<std::string> lines_;
  size_t size_ = 0;
  uint64_t hash_ = kBasis;
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_SIMULATION_TRACE_H_
