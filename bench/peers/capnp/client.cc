// Client of capnp: send().wait() for one caller, else one kj loop with K calls out on each
// connection.
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

// All calls of the client, on one kj loop.
//
// Threads  its own
class Callers final : public kj::TaskSet::ErrorHandler {
 public:
  Callers(EchoRun& run, kj::WaitScope& scope)
      : run_(run), recorder_(run.recorder()), scope_(scope) {}

  void CallOneByOne(EchoConnection& connection) {
    // A response that is dropped sends a message, Finish. Kept until the next call is queued, it
    // follows that call on the wire instead of delaying it.
    kj::Maybe<EchoReply> previous;
    uint64_t now = NowNanos();
    for (bool more = true; more;) {
      const uint64_t number = ++number_;
      const uint64_t start = now;
      auto sent = connection.Send(number);
      previous = nullptr;
      EchoReply reply = sent.wait(scope_);
      now = NowNanos();
      more = Finish(reply, number, start, now);
      previous = kj::mv(reply);
    }
  }

  void CallAllAtOnce(EchoConnections& connections) {
    kj::TaskSet calls(*this);
    calls_ = &calls;
    for (int k = 0; k < run_.options().inflight; ++k) {
      for (auto& connection : connections) Call(*connection, NowNanos());
    }
    calls.onEmpty().wait(scope_);
  }

 private:
  void Call(EchoConnection& connection, uint64_t start) {
    const uint64_t number = ++number_;
    // As above: the reply lives until the call that replaces it is queued.
    calls_->add(connection.Send(number).then([this, &connection, number, start](EchoReply&& reply) {
      const uint64_t now = NowNanos();
      if (Finish(reply, number, start, now)) Call(connection, now);
    }));
  }

  bool Finish(const EchoReply& reply, uint64_t number, uint64_t start, uint64_t now) {
    const capnp::Data::Reader payload = reply.getPayload();
    return recorder_.Finish(start, now, recorder_.Check(payload.begin(), payload.size(), number));
  }

  void taskFailed(kj::Exception&& error) override {
    Fail(std::string("a call failed: ") + error.getDescription().cStr());
  }

  EchoRun& run_;
  CallRecorder& recorder_;
  kj::WaitScope& scope_;
  kj::TaskSet* calls_ = nullptr;
  uint64_t number_ = 0;
};

int Main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  arguments.IgnoreUnread();
  return RunOnLoop(run, [&run](kj::WaitScope& scope, EchoConnections& connections) {
    Callers callers(run, scope);
    if (run.options().IsOneCaller()) {
      callers.CallOneByOne(*connections[0]);
    } else {
      callers.CallAllAtOnce(connections);
    }
  });
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
