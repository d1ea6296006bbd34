#include "weft/rpc/mesh/simulation_trace.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace weft {
namespace {

// FNV-1a's prime for 64 bits; kBasis is its beginning.
constexpr uint64_t kPrime = 0x100000001b3u;

}  // namespace

uint64_t SimulationTrace::Hash(uint64_t so_far, const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < size; ++i) so_far = (so_far ^ bytes[i]) * kPrime;
  return so_far;
}

void SimulationTrace::Mix(uint64_t value) {
  // By halves instead of bytes: this runs at each step of the simulation.
  hash_ = (hash_ ^ (value & 0xffffffffu)) * kPrime;
  hash_ = (hash_ ^ (value >> 32)) * kPrime;
}

void SimulationTrace::Note(std::string_view text) {
  const int64_t ns = (time_ - start_).count();
  // Integers: a rounded floating-point time could hide that two runs differ.
  std::string line = absl::StrFormat("%d.%09d ", ns / 1'000'000'000, ns % 1'000'000'000);
  line.append(text);
  hash_ = Hash(hash_, line.data(), line.size());
  ++size_;
  // Behind the hash, which covers all lines, also those not kept.
  if (max_lines_ == 0) return;
  if (lines_.size() == max_lines_) lines_.pop_front();
  lines_.push_back(std::move(line));
}

std::string SimulationTrace::Text() const {
  std::string text;
  for (const std::string& line : lines_) absl::StrAppend(&text, line, "\n");
  return text;
}

}  // namespace weft
