// Cap'n Proto: two-party RPC, handlers run on the kj loops that read the sockets.
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <capnp/message.h>
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "bench/peers/capnp/capnp_tuning.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/loopback_socket.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/task_pool.h"
#include "bench/peers/common/termination.h"
#include "echo.capnp.h"

namespace weft::bench {
namespace {

// Answers at once. Where requests may sleep, all of them take the way over the pool, since a
// handler cannot tell beforehand and a kj loop must never block.
class Echoer final : public capnp_echo::EchoService::Server {
 public:
  Echoer(Sleeper& sleeper, TaskPool* pool) : sleeper_(sleeper), pool_(pool) {}

  kj::Promise<void> echo(EchoContext context) override {
    if (pool_ == nullptr) {
      Answer(context);
      return kj::READY_NOW;
    }
    auto slept = kj::newPromiseAndCrossThreadFulfiller<void>();
    // std::function wants to be copied, an Own does not.
    auto done = std::make_shared<decltype(slept.fulfiller)>(kj::mv(slept.fulfiller));
    pool_->Post([&sleeper = sleeper_, done] {
      sleeper.SleepIfDue();
      (*done)->fulfill();
    });
    return slept.promise.then([context]() mutable { Answer(context); });
  }

 private:
  static void Answer(EchoContext& context) {
    const capnp::Data::Reader payload = context.getParams().getPayload();
    context.getResults(SizeHint(payload.size())).setPayload(payload);
    context.releaseParams();
  }

  Sleeper& sleeper_;
  TaskPool* const pool_;  // null where nothing sleeps
};

// One kj loop in one thread, serving the sockets given to it.
//
// Threads  Give and Stop from any thread, one at a time
// Owns     its thread
class IoThread {
 public:
  IoThread(Sleeper& sleeper, TaskPool* pool) {
    std::promise<void> up;
    thread_ = std::thread([&, this] { Run(kj::heap<Echoer>(sleeper, pool), up); });
    up.get_future().wait();
  }

  void Give(int fd) {
    executor_->executeSync([this, fd] {
      server_->accept(io_->wrapSocketFd(fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP |
                                                kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC));
    });
  }

  // Returns when the clients are gone, or kDrain later.
  void Stop() {
    executor_->executeSync([this] { stop_->fulfill(); });
    thread_.join();
  }

 private:
  static constexpr auto kDrain = 5 * kj::SECONDS;

  void Run(kj::Own<Echoer> echoer, std::promise<void>& up) {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    io.waitScope.setBusyPollInterval(kTurnsBetweenPolls);
    capnp::TwoPartyServer server(kj::mv(echoer));
    auto stopped = kj::newPromiseAndFulfiller<void>();
    server_ = &server;
    io_ = io.lowLevelProvider.get();
    stop_ = kj::mv(stopped.fulfiller);
    executor_ = kj::getCurrentThreadExecutor().addRef();
    up.set_value();
    stopped.promise.wait(io.waitScope);
    server.drain().exclusiveJoin(io.provider->getTimer().afterDelay(kDrain)).wait(io.waitScope);
  }

  capnp::TwoPartyServer* server_ = nullptr;
  kj::LowLevelAsyncIoProvider* io_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> stop_;
  kj::Own<const kj::Executor> executor_;
  std::thread thread_;
};

int Main(int argc, char** argv) {
  BlockTermination();
  Arguments arguments(argc, argv);
  const EchoServerOptions options(arguments);
  arguments.IgnoreUnread();

  Sleeper sleeper(options);
  std::unique_ptr<TaskPool> pool;
  if (sleeper.enabled()) pool = std::make_unique<TaskPool>(options.workers);
  std::vector<std::unique_ptr<IoThread>> threads;
  for (int i = 0; i < options.io_threads; ++i) {
    threads.push_back(std::make_unique<IoThread>(sleeper, pool.get()));
  }
  const int listener = Listen(options.port);
  std::thread([&] { AcceptForever(listener, threads); }).detach();
  AnnounceReady();
  WaitForTermination();
  for (auto& thread : threads) thread->Stop();
  _exit(0);  // the accepting thread still uses what a return would destroy
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
