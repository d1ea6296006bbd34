// Blocking stub calls, a thread for each connection: gRPC's shortest way for a lone caller.
//
// Threads  main
// Ends     prints the line, returns the exit status
#pragma once

#include <unistd.h>

#include <thread>
#include <vector>

#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"
#include "bench/peers/grpc_shared/grpc_call.h"
#include "bench/peers/grpc_shared/grpc_stubs.h"

namespace weft::bench {

inline int RunGrpcBlockingCallers(EchoRun& run, const GrpcStubs& stubs) {
  if (run.options().inflight != 1) Fail("blocking calls need --inflight 1");
  run.Start(stubs.size());
  std::vector<std::thread> threads;
  for (int i = 0; i < stubs.size(); ++i) {
    threads.emplace_back([&run, &stub = stubs[i]] {
      GrpcCall call(run);
      uint64_t now = NowNanos();
      for (bool more = true; more;) {
        call.Renew(now);
        const grpc::Status status = stub.Echo(call.context(), call.request(), &call.response());
        now = NowNanos();
        more = call.Finish(status, now);
      }
      run.PartyDone();
    });
  }
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // a thread may still be in a call
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace weft::bench
