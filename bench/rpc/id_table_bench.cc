// Calls by number: one in, one out, with so many under way; and with one that stays for ever.

#include <cstdint>

#include <benchmark/benchmark.h>

#include "weft/rpc/call/id_table.h"

namespace weft {
namespace {

void BM_IdTable(benchmark::State& state) {
  const auto under_way = static_cast<uint64_t>(state.range(0));
  int call = 0;
  internal::IdTable<int> table;
  uint64_t next = 0;
  while (next < under_way) (void)table.Insert(++next, &call);
  for (auto _ : state) {
    (void)table.Insert(++next, &call);
    benchmark::DoNotOptimize(table.Take(next - under_way));
  }
}
BENCHMARK(BM_IdTable)->Arg(1)->Arg(64)->Arg(10'000);

// The old call keeps the slot of number 1, so each number that falls on it goes to the overflow.
void BM_IdTableBesideAnOldCall(benchmark::State& state) {
  int call = 0;
  internal::IdTable<int> table;
  uint64_t next = 0;
  (void)table.Insert(++next, &call);
  for (auto _ : state) {
    (void)table.Insert(++next, &call);
    benchmark::DoNotOptimize(table.Take(next));
  }
}
BENCHMARK(BM_IdTableBesideAnOldCall);

}  // namespace
}  // namespace weft
