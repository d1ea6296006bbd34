// Client of capnp: send().wait() for one caller, else one kj loop with K calls out on each
// connection.
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "bench/peers/capnp/capnp_tuning.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_client_options.h"
#include "bench/peers/common/echo_run.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/monotonic_clock.h"
#include "echo.capnp.h"

namespace weft::bench {
namespace {

using Echo = capnp_echo::EchoService;
using EchoReply = capnp::Response<Echo::EchoResults>;

// One connection and the server's service on it.
//
// Threads  its loop's
class Connection {
 public:
  Connection(const EchoPattern& pattern, kj::Own<kj::AsyncIoStream> stream)
      : pattern_(pattern),
        stream_(kj::mv(stream)),
        rpc_(*stream_),
        service_(rpc_.bootstrap().castAs<Echo>()) {}

  kj::Promise<void> Resolved() { return service_.whenResolved(); }

  capnp::RemotePromise<Echo::EchoResults> Send(uint64_t number) {
    auto request = service_.echoRequest(SizeHint(pattern_.size()));
    capnp::Data::Builder payload = request.initPayload(static_cast<unsigned>(pattern_.size()));
    std::memcpy(payload.begin(), pattern_.bytes().data(), pattern_.size());
    pattern_.Stamp(payload.begin(), number);
    return request.send();
  }

 private:
  const EchoPattern& pattern_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyClient rpc_;
  Echo::Client service_;
};

// All calls of the client, on one kj loop.
//
// Threads  its own
class Callers final : public kj::TaskSet::ErrorHandler {
 public:
  Callers(EchoRun& run, kj::WaitScope& scope)
      : run_(run), recorder_(run.recorder()), scope_(scope) {}

  void CallOneByOne(Connection& connection) {
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

  void CallAllAtOnce(std::vector<std::unique_ptr<Connection>>& connections) {
    kj::TaskSet calls(*this);
    calls_ = &calls;
    for (int k = 0; k < run_.options().inflight; ++k) {
      for (auto& connection : connections) Call(*connection, NowNanos());
    }
    calls.onEmpty().wait(scope_);
  }

 private:
  void Call(Connection& connection, uint64_t start) {
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

void RunLoop(EchoRun& run, std::promise<void>& connected, std::future<void> go) {
  kj::AsyncIoContext io = kj::setupAsyncIo();
  io.waitScope.setBusyPollInterval(kTurnsBetweenPolls);
  auto address = io.provider->getNetwork()
                     .parseAddress("127.0.0.1", static_cast<unsigned>(run.options().port))
                     .wait(io.waitScope);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < run.options().connections; ++i) {
    connections.push_back(
        std::make_unique<Connection>(run.pattern(), address->connect().wait(io.waitScope)));
    connections.back()->Resolved().wait(io.waitScope);
  }
  connected.set_value();
  go.wait();
  Callers callers(run, io.waitScope);
  if (run.options().IsOneCaller()) {
    callers.CallOneByOne(*connections[0]);
  } else {
    callers.CallAllAtOnce(connections);
  }
  run.PartyDone();
}

int Main(int argc, char** argv) {
  Arguments arguments(argc, argv);
  EchoRun run{EchoClientOptions(arguments)};
  arguments.IgnoreUnread();

  std::promise<void> connected, go;
  std::thread thread([&] {
    try {
      RunLoop(run, connected, go.get_future());
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

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
