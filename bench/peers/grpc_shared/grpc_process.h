// Settings that a gRPC process makes before anything else.
//
// Debian builds Abseil and gRPC without NDEBUG. Every absl::Mutex then takes part in a process-wide
// search for deadlocks, and gRPC turns an experiment on that is meant for debug builds. Both are
// turned off here; in a release build of gRPC this changes nothing.
//
// Threads  main, before any other thread and any gRPC call
#pragma once

#include <stdlib.h>

#include <absl/synchronization/mutex.h>

namespace weft::bench {

inline void PrepareGrpcProcess() {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  setenv("GRPC_EXPERIMENTS", "-posix_event_engine_enable_polling", /*overwrite=*/0);
}

}  // namespace weft::bench
