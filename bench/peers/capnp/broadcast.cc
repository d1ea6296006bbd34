// Broadcasts of capnp: a request to each of C servers, whose promises are joined; K at a time.
//
// Server i listens on port P + i.
#include <cstdint>
#include <string>
#include <utility>

#include <kj/async-io.h>

#include "bench/peers/capnp/echo_connection.h"
#include "bench/peers/capnp/run_on_loop.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"

namespace weft::bench {
namespace {

// All broadcasts of the client, on one kj loop.
//
// Threads  its own
class Broadcasts final : public kj::TaskSet::ErrorHandler {
 public:
  Broadcasts(EchoRun& run, EchoConnections& connections)
      : recorder_(run.recorder()), connections_(connections), under_way_(*this) {}

  void Run(kj::WaitScope& scope, int outstanding) {
    for (int i = 0; i < outstanding; ++i) Start(NowNanos());
    under_way_.onEmpty().wait(scope);
  }

 private:
  void Start(uint64_t start) {
    const uint64_t number = ++number_;
    auto calls = kj::heapArrayBuilder<kj::Promise<EchoReply>>(connections_.size());
    for (auto& connection : connections_) calls.add(connection->Send(number));
    // The replies live until the next requests are queued: dropped before, each would send its
    // Finish message ahead of them.
    under_way_.add(kj::joinPromises(calls.finish())
                       .then([this, number, start](kj::Array<EchoReply>&& replies) {
                         const uint64_t now = NowNanos();
                         if (recorder_.Finish(start, now, Check(replies, number))) Start(now);
                       }));
  }

  bool Check(const kj::Array<EchoReply>& replies, uint64_t number) {
    bool good = true;
    for (const EchoReply& reply : replies) {
      const capnp::Data::Reader payload = reply.getPayload();
      good = recorder_.Check(payload.begin(), payload.size(), number) && good;
    }
    return good;
  }

  void taskFailed(kj::Exception&& error) override {
    Fail(std::string("a call failed: ") + error.getDescription().cStr());
  }

  CallRecorder& recorder_;
  EchoConnections& connections_;
  kj::TaskSet under_way_;
  uint64_t number_ = 0;
};

int Main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  EchoClientOptions options(arguments);
  options.port_step = 1;
  arguments.IgnoreUnread();
  EchoRun run(options);
  return RunOnLoop(run, [&run](kj::WaitScope& scope, EchoConnections& connections) {
    Broadcasts(run, connections).Run(scope, run.options().inflight);
  });
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
