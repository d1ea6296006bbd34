// A server and a client in one program, over a real socket.

#include <cstdio>
#include <memory>
#include <string>

#include <weft/rpc/channel.h>
#include <weft/rpc/server.h>

#include "greeter.pb.h"
#include "greeter.weft.h"

namespace {

class Greeter final : public demo::Greeter::Service {
  absl::Status Say(weft::ServerContext& /*call*/, demo::HelloRequest& request,
                   demo::HelloReply& reply) override {
    reply.set_text("hello " + request.name().text());
    return absl::OkStatus();
  }
};

int Fail(const char* step, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", step, status.ToString().c_str());
  return 1;
}

}  // namespace

int main() {
  Greeter greeter;
  weft::Server server(
      {.io_threads = 1, .worker_threads = 2, .log = {.level = weft::LogLevel::kWarning}});
  if (absl::Status registered = server.Register(greeter); !registered.ok()) {
    return Fail("register", registered);
  }
  if (absl::Status started = server.Start("127.0.0.1:0"); !started.ok()) {
    return Fail("start", started);
  }

  absl::StatusOr<std::unique_ptr<weft::Channel>> channel = weft::Channel::Create(
      "127.0.0.1:" + std::to_string(server.port()), {.log = {.sink = weft::StderrLogSink()}});
  if (!channel.ok()) return Fail("channel", channel.status());
  demo::Greeter::Stub stub(**channel);
  demo::HelloRequest request;
  request.mutable_name()->set_text("outside");
  absl::StatusOr<demo::HelloReply> reply = stub.Say(request, {.timeout = absl::Seconds(5)});
  if (!reply.ok()) return Fail("say", reply.status());
  std::printf("%s\n", reply->text().c_str());
  return reply->text() == "hello outside" ? 0 : 1;
}
