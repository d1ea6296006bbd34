// One client run: opens the window, collects every thread's figures, prints the line.
//
// The work is done by parties: threads, loops or chains of calls that replace one another. Each
// goes on until CallRecorder::Finish says no, and then says PartyDone() once.
//
// Threads  Start and Finish on the main thread; recorder and PartyDone from any thread
// Owns     the recorders
// Ends     Finish returns when all parties are done, or kPatience after the window, which is an
//          error
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bench/peers/common/call_recorder.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_pattern.h"
#include "bench/peers/common/echo_report.h"
#include "bench/peers/common/measured_window.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/common/process_cpu.h"

namespace weft::bench {

class EchoRun {
 public:
  explicit EchoRun(const EchoClientOptions& options)
      : options_(options), pattern_(options.payload) {}

  EchoRun(const EchoRun&) = delete;
  EchoRun& operator=(const EchoRun&) = delete;

  const EchoClientOptions& options() const { return options_; }
  const EchoPattern& pattern() const { return pattern_; }

  // Counts something that the line is to say of the window. Before Start.
  void CountBlockFaults(std::function<double()> count) { block_faults_ = std::move(count); }

  // All connections are up: the warm-up begins. Before any party starts.
  void Start(int parties) {
    parties_ = parties;
    window_.Open(options_.warmup, options_.seconds);
  }

  // The calling thread's recorder, the same one each time. Valid as long as the run is.
  CallRecorder& recorder() {
    thread_local const EchoRun* owner = nullptr;
    thread_local CallRecorder* mine = nullptr;
    if (owner != this) {
      std::lock_guard lock(mu_);
      recorders_.push_back(std::make_unique<CallRecorder>(pattern_, window_));
      mine = recorders_.back().get();
      owner = this;
    }
    return *mine;
  }

  void PartyDone() {
    std::lock_guard lock(mu_);
    if (--parties_ == 0) all_done_.notify_all();
  }

  // Sleeps through the run. `completed` of the result is meaningful only if it ended in order,
  // which is so when `failed` is 0.
  EchoReport Finish() {
    EchoReport report;
    SleepUntilNanos(window_.begin());
    const double cpu_before = ProcessCpuSeconds();
    const double faults_before = block_faults_ ? block_faults_() : 0;
    const uint64_t before = NowNanos();
    SleepUntilNanos(window_.end());
    const double cpu = ProcessCpuSeconds() - cpu_before;
    if (block_faults_) report.block_faults = block_faults_() - faults_before;
    report.seconds = options_.seconds;
    // This thread may have woken late at either end: bring the CPU time to the window's length.
    report.cpu_seconds =
        cpu * options_.seconds * kNanosPerSecond / static_cast<double>(NowNanos() - before);

    std::unique_lock lock(mu_);
    if (!all_done_.wait_for(lock, kPatience, [this] { return parties_ == 0; })) {
      // The recorders still belong to running threads, so their figures must not be read.
      std::fprintf(stderr, "error: calls were still out 10 s after the window\n");
      report.failed = 1;
      return report;
    }
    for (const auto& recorder : recorders_) {
      report.latencies.Merge(recorder->latencies());
      report.failed += recorder->failed();
      report.completed += recorder->completed();
    }
    return report;
  }

  // Finish, print, and the exit status: 0 if there were calls and none failed.
  int FinishAndPrint() {
    const EchoReport report = Finish();
    std::printf("%s\n", report.ToJson().c_str());
    std::fflush(stdout);
    return report.failed == 0 && report.good() > 0 ? 0 : 1;
  }

 private:
  static constexpr std::chrono::seconds kPatience{10};

  const EchoClientOptions options_;
  const EchoPattern pattern_;
  MeasuredWindow window_;
  std::function<double()> block_faults_;

  std::mutex mu_;
  std::condition_variable all_done_;
  int parties_ = 0;                                       // under mu_
  std::vector<std::unique_ptr<CallRecorder>> recorders_;  // under mu_
};

}  // namespace weft::bench
