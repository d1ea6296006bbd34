#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hello.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Greeter final : public hello::Greeter::Service {
 public:
  absl::Status Say(weft::ServerContext&, hello::HelloRequest& request,
                   hello::HelloReply& reply) override {
    // The client gets this status as it is, code and text. A reply filled before an error is not
    // sent.
    if (request.name().empty()) return absl::InvalidArgumentError("who is there?");
    reply.set_text("hello, " + request.name());
    return absl::OkStatus();
  }
};

int main() {
  // Before the server, which calls it until the server's end.
  Greeter service;
  weft::Server server({.io_threads = 1, .worker_threads = 2});
  absl::Status status = server.Register(service);
  // Port 0 lets the system choose a free one, so that the example runs anywhere; port() tells it.
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) {
    std::fprintf(stderr, "server: %s\n", status.ToString().c_str());
    return 1;
  }

  absl::StatusOr<std::unique_ptr<weft::Channel>> channel =
      weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()));
  if (!channel.ok()) {
    std::fprintf(stderr, "channel: %s\n", channel.status().ToString().c_str());
    return 1;
  }
  // A stub only refers to its channel, which must live longer.
  hello::Greeter::Stub greeter(**channel);

  hello::HelloRequest request;
  request.set_name("weft");
  // The timeout travels with the request. A call without one has the channel's, 10 seconds.
  absl::StatusOr<hello::HelloReply> reply = greeter.Say(request, {.timeout = absl::Seconds(1)});
  std::printf("%s\n", reply.ok() ? reply->text().c_str() : reply.status().ToString().c_str());

  request.clear_name();
  reply = greeter.Say(request, {.timeout = absl::Seconds(1)});
  std::printf("%s\n", reply.ok() ? reply->text().c_str() : reply.status().ToString().c_str());

  server.Stop();
  return 0;
}
