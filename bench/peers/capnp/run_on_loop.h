// A client's run on a kj loop in a thread of its own, while the main thread keeps the time.
//
// Threads  main; `work` runs on the loop's
#pragma once

#include <unistd.h>

#include <future>
#include <thread>

#include <kj/async-io.h>

#include "bench/peers/capnp/capnp_tuning.h"
#include "bench/peers/capnp/echo_connection.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/fail.h"

namespace weft::bench {

// `work(scope, connections)` makes calls until the run is over. The exit status.
template <typename Work>
int RunOnLoop(EchoRun& run, Work work) {
  std::promise<void> connected, go;
  std::thread thread([&] {
    try {
      kj::AsyncIoContext io = kj::setupAsyncIo();
      io.waitScope.setBusyPollInterval(kTurnsBetweenPolls);
      EchoConnections connections = ConnectAll(run, io);
      connected.set_value();
      go.get_future().wait();
      work(io.waitScope, connections);
      run.PartyDone();
    } catch (const kj::Exception& error) {
      Fail(error.getDescription().cStr());
    }
  });
  connected.get_future().wait();
  run.Start(1);
  go.set_value();
  const int status = run.FinishAndPrint();
  if (status != 0) _exit(status);  // the loop may still wait for replies
  thread.join();
  return 0;
}

}  // namespace weft::bench
