// Measures the memory that an idle connection and an idle stream hold at each end. There are two
// figures. Bytes that operator new gave out (as malloc rounds them) are weft's. Bytes of the whole
// heap by malloc's books (mallinfo2) hold malloc's overhead and libevent's share besides. The
// kernel's buffers are not in it.
//
//   idle [--conns <n>] [--streams <n>]
//
// A server and, in a child process, a client. Every connection makes one call, so that all there is
// lazily made is made, and is then left alone until its buffers are given back. The streams are
// bidirectional, all on one connection, each has carried one message both ways, and its handler is
// a coroutine that waits for the next.
//
// The last lines: "idle connection: S bytes at the server (heap S'), C at the client (heap C')",
// and the same of a stream. The client's connections are a channel each, which is in it.
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/echo.weft.h"
#include "bench/echoer.h"
#include "bench/own_bytes.h"
#include "bench/peers/common/arguments.h"
#include "bench/peers/common/fail.h"
#include "bench/streams.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

namespace {

using weft::bench::Chunk;
using weft::bench::Fail;

// A connection gives its buffers back at the second heartbeat that finds it quiet.
constexpr absl::Duration kHeartbeat = absl::Milliseconds(500);
constexpr auto kQuiet = std::chrono::milliseconds(2500);

struct Bytes {
  double own = 0, heap = 0;
  static Bytes Now() {
    return {static_cast<double>(weft::bench::OwnBytes()),
            static_cast<double>(mallinfo2().uordblks)};
  }
  Bytes Each(const Bytes& before, int things) const {
    return {(own - before.own) / things, (heap - before.heap) / things};
  }
};

class Streams final : public weft::bench::StreamService::CoroService {
 public:
  weft::Coro<absl::Status> Both(weft::ServerContext&,
                                weft::ServerStream<Chunk, Chunk>& stream) override {
    Chunk chunk;
    while (co_await stream.ReadCoro(&chunk)) co_await stream.WriteCoro(chunk);
    co_return absl::OkStatus();
  }
};

// A line of the talk between the two processes.
void Tell(int fd) {
  if (::write(fd, "\n", 1) != 1) Fail("the other process is gone");
}
void Await(int fd) {
  char c;
  if (::read(fd, &c, 1) != 1) Fail("the other process is gone");
}

// The client: `from` and `to` are the server's pipes. Prints its own figures.
int RunClient(int connections, int streams, int from, int to) {
  Await(from);
  int port = 0;
  if (::read(from, &port, sizeof port) != sizeof port) Fail("no port");
  auto runtime = weft::Runtime::Create();
  if (!runtime.ok()) Fail(runtime.status().ToString());
  const auto connect = [&] {
    weft::ChannelOptions options;
    options.runtime = *runtime;
    options.limits.heartbeat_interval = kHeartbeat;
    auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(port), options);
    if (!channel.ok()) Fail(channel.status().ToString());
    weft::bench::EchoService::Stub stub(**channel);
    if (auto reply = stub.Echo(weft::bench::EchoRequest()); !reply.ok())
      Fail(reply.status().ToString());
    return *std::move(channel);
  };
  std::vector<std::unique_ptr<weft::Channel>> channels;
  channels.reserve(static_cast<size_t>(connections) + 1);
  channels.push_back(connect());
  using Stream = weft::ClientStream<Chunk, Chunk>;
  std::vector<std::unique_ptr<Stream>> open;
  open.reserve(static_cast<size_t>(streams) + 1);
  weft::bench::StreamService::Stub stub(*channels[0]);
  const auto talk = [&] {
    open.push_back(std::make_unique<Stream>(stub.Both({.timeout = absl::InfiniteDuration()})));
    Chunk chunk;
    chunk.set_payload("hello");
    if (!open.back()->Write(chunk) || !open.back()->Read(&chunk)) Fail("no stream");
  };
  talk();

  std::this_thread::sleep_for(kQuiet);
  Tell(to);  // the server notes what it has
  Await(from);
  const Bytes before = Bytes::Now();
  for (int i = 0; i < connections; ++i) channels.push_back(connect());
  std::this_thread::sleep_for(kQuiet);
  const Bytes with_connections = Bytes::Now();
  Tell(to);
  Await(from);
  for (int i = 0; i < streams; ++i) talk();
  std::this_thread::sleep_for(kQuiet);
  const Bytes with_streams = Bytes::Now();
  Tell(to);
  Await(from);
  const Bytes figures[] = {with_connections.Each(before, connections),
                           with_streams.Each(with_connections, streams)};
  if (::write(to, figures, sizeof figures) != sizeof figures) Fail("the server is gone");
  for (auto& stream : open) stream->Cancel();
  return 0;
}

void Print(const char* what, const Bytes& server, const Bytes& client) {
  std::printf("idle %s: %.0f bytes at the server (heap %.0f), %.0f at the client (heap %.0f)\n",
              what, server.own, server.heap, client.own, client.heap);
}

int RunServer(int connections, int streams, int from, int to) {
  Streams handlers;
  weft::bench::Echoer echo;
  weft::ServerOptions options;
  options.worker_threads = 2;
  options.limits.heartbeat_interval = kHeartbeat;
  weft::Server server(options);
  absl::Status s = server.Register(handlers);
  if (s.ok()) s = server.Register(echo);
  if (s.ok()) s = server.Start("127.0.0.1:0");
  if (!s.ok()) Fail(s.ToString());
  Tell(to);
  const int port = server.port();
  if (::write(to, &port, sizeof port) != sizeof port) Fail("the client is gone");
  const auto note = [&] {
    Await(from);
    const Bytes bytes = Bytes::Now();
    Tell(to);
    return bytes;
  };
  const Bytes before = note();
  const Bytes with_connections = note();
  const Bytes with_streams = note();
  Bytes client[2];
  if (::read(from, client, sizeof client) != sizeof client) Fail("the client is gone");
  Print("connection", with_connections.Each(before, connections), client[0]);
  Print("stream", with_streams.Each(with_connections, streams), client[1]);
  server.Stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  weft::bench::CountOwnBytes();
  weft::bench::Arguments arguments(argc, argv);
  const auto connections = static_cast<int>(arguments.Integer("conns", 1000, 1, 100'000));
  const auto streams = static_cast<int>(arguments.Integer("streams", 1000, 1, 100'000));
  arguments.RefuseUnread();
  int to_server[2], to_client[2];
  if (::pipe(to_server) != 0 || ::pipe(to_client) != 0) Fail("no pipe");
  const pid_t client = ::fork();  // before there is any thread
  if (client < 0) Fail("no process");
  if (client == 0) return RunClient(connections, streams, to_client[0], to_server[1]);
  ::close(to_server[1]);  // so that a client that dies is noticed
  const int result = RunServer(connections, streams, to_server[0], to_client[1]);
  int status = 0;
  ::waitpid(client, &status, 0);
  return result == 0 && status == 0 ? 0 : 1;
}
