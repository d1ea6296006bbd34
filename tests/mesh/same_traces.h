// Traces of a simulation, seed by seed, here and in another process.
//
// Threads  the test's
#ifndef WEFT_TESTS_MESH_SAME_TRACES_H_
#define WEFT_TESTS_MESH_SAME_TRACES_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "weft/rpc/simulation.h"

namespace weft::test {

// Makes a run with that seed, and returns the trace's text.
using TraceOf = std::function<std::string(uint64_t seed)>;

inline std::string TextOfTrace(Simulation& sim) {
  return absl::StrCat(sim.trace().hash(), " ", sim.trace().size(), " ", sim.steps());
}

// Runs the current test again in a process of its own, where this function prints the traces and
// returns none.
inline std::optional<std::vector<std::string>> TracesInAnotherProcess(uint64_t seeds,
                                                                      const TraceOf& trace_of) {
  constexpr char kPrints[] = "WEFT_PRINT_TRACES";
  if (std::getenv(kPrints) != nullptr) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      std::printf("trace %s\n", trace_of(seed).c_str());
    }
    return std::nullopt;
  }
  const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  std::FILE* const child =
      ::popen(absl::StrCat(kPrints, "=1 '", self, "' --gtest_filter=", test.test_suite_name(), ".",
                           test.name())
                  .c_str(),
              "r");
  std::vector<std::string> theirs;
  if (child == nullptr) return theirs;
  char line[256];
  while (std::fgets(line, sizeof line, child) != nullptr) {
    const std::string text(line);
    if (text.rfind("trace ", 0) == 0) theirs.push_back(text.substr(6, text.size() - 7));
  }
  EXPECT_EQ(::pclose(child), 0);
  return theirs;
}

inline void ExpectSameInAnotherProcess(uint64_t seeds, const TraceOf& trace_of) {
  const std::optional<std::vector<std::string>> theirs = TracesInAnotherProcess(seeds, trace_of);
  if (!theirs.has_value()) return;
  ASSERT_EQ(theirs->size(), seeds);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    EXPECT_EQ(trace_of(seed), (*theirs)[seed - 1]) << "seed " << seed;
  }
  const std::set<std::string> different(theirs->begin(), theirs->end());
  EXPECT_EQ(different.size(), seeds);
}

// If something differs from process to process, the trace of at least one of these seeds does.
inline void ExpectToDifferInAnotherProcess(uint64_t seeds, const TraceOf& trace_of) {
  const std::optional<std::vector<std::string>> theirs = TracesInAnotherProcess(seeds, trace_of);
  if (!theirs.has_value()) return;
  ASSERT_EQ(theirs->size(), seeds);
  bool differ = false;
  for (uint64_t seed = 1; seed <= seeds && !differ; ++seed) {
    differ = trace_of(seed) != (*theirs)[seed - 1];
  }
  EXPECT_TRUE(differ);
}

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_SAME_TRACES_H_
