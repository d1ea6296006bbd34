// Apache Thrift: TNonblockingServer with a ThreadManager, framed transport, binary protocol.
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include <thrift/concurrency/ThreadFactory.h>
#include <thrift/concurrency/ThreadManager.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TNonblockingServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TNonblockingServerSocket.h>

#include "EchoService.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/echo_server_options.h"
#include "bench/peers/common/fail.h"
#include "bench/peers/common/sleeper.h"
#include "bench/peers/common/termination.h"

namespace weft::bench {
namespace {

namespace concurrency = apache::thrift::concurrency;
namespace protocol = apache::thrift::protocol;
namespace server = apache::thrift::server;
namespace transport = apache::thrift::transport;

// The transport's type is known to the protocol, so that reading and writing are inlined.
using Transport = transport::TBufferBase;

class Echoer final : public thrift_echo::EchoServiceIf {
 public:
  explicit Echoer(const EchoServerOptions& options) : sleeper_(options) {}

  void Echo(std::string& reply, const std::string& payload) override {
    sleeper_.SleepIfDue();
    // The argument exists for this call alone, so its bytes may be taken instead of copied.
    reply.swap(const_cast<std::string&>(payload));
  }

 private:
  Sleeper sleeper_;
};

class ReadySign final : public server::TServerEventHandler {
 public:
  void preServe() override { AnnounceReady(); }
};

int Main(int argc, char** argv) {
  BlockTermination();
  // Thrift turns each connection from reading to idle to writing and back for every call; libevent
  // then merges what cancels out.
  setenv("EVENT_EPOLL_USE_CHANGELIST", "1", /*overwrite=*/0);
  Arguments arguments(argc, argv);
  const EchoServerOptions options(arguments);
  arguments.IgnoreUnread();

  auto workers =
      concurrency::ThreadManager::newSimpleThreadManager(static_cast<size_t>(options.workers));
  workers->threadFactory(std::make_shared<concurrency::ThreadFactory>());
  workers->start();

  using Processor = thrift_echo::EchoServiceProcessorT<protocol::TBinaryProtocolT<Transport>>;
  server::TNonblockingServer echo_server(
      std::make_shared<Processor>(std::make_shared<Echoer>(options)),
      std::make_shared<protocol::TBinaryProtocolFactoryT<Transport>>(),
      std::make_shared<transport::TNonblockingServerSocket>("127.0.0.1", options.port), workers);
  echo_server.setNumIOThreads(static_cast<size_t>(options.io_threads));
  // Connections keep their buffers; by default they are given back every 512 calls.
  echo_server.setResizeBufferEveryN(0);
  echo_server.setIdleReadBufferLimit(0);
  echo_server.setIdleWriteBufferLimit(0);
  echo_server.setServerEventHandler(std::make_shared<ReadySign>());

  std::thread([&] {
    WaitForTermination();
    echo_server.stop();
  }).detach();
  try {
    echo_server.serve();
  } catch (const std::exception& error) {
    Fail(error.what());
  }
  workers->stop();
  _exit(0);
}

}  // namespace
}  // namespace weft::bench

int main(int argc, char** argv) { return weft::bench::Main(argc, argv); }
