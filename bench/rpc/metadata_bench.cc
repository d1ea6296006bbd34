// Metadata to the wire and back.

#include <string>

#include <benchmark/benchmark.h>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/metadata.h"

namespace weft {
namespace {

Metadata Pairs(int64_t count) {
  Metadata metadata;
  for (int64_t i = 0; i < count; ++i) {
    (void)metadata.Add(absl::StrCat("key-", i), absl::StrCat("value of ", i));
  }
  return metadata;
}

void BM_MetadataWrite(benchmark::State& state) {
  const Metadata metadata = Pairs(state.range(0));
  std::string bytes(metadata.WireSize(), '\0');
  for (auto _ : state) {
    benchmark::DoNotOptimize(metadata.WireSize());
    benchmark::DoNotOptimize(metadata.WriteTo(bytes.data()));
  }
}
BENCHMARK(BM_MetadataWrite)->Arg(2)->Arg(32);

void BM_MetadataRead(benchmark::State& state) {
  const Metadata metadata = Pairs(state.range(0));
  std::string bytes(metadata.WireSize(), '\0');
  metadata.WriteTo(bytes.data());
  Metadata read;
  for (auto _ : state) {
    // Keeps its memory, as a call's metadata does that is used again.
    read.Clear();
    benchmark::DoNotOptimize(read.ReadFrom(bytes));
  }
}
BENCHMARK(BM_MetadataRead)->Arg(2)->Arg(32);

}  // namespace
}  // namespace weft
