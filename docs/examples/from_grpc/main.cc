#include <cstdio>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "greet.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Greeter final : public greet::Greeter::Service {
 public:
  absl::Status Say(weft::ServerContext& context, greet::HelloRequest& request,
                   greet::HelloReply& reply) override {
    if (request.name().empty()) return absl::InvalidArgumentError("who is there?");
    // gRPC's AddTrailingMetadata returns nothing; here a key that cannot be sent is an error at
    // once.
    if (absl::Status s = context.trailers().Add("lang", "en"); !s.ok()) return s;
    reply.set_text("hello, " + request.name());
    return absl::OkStatus();
  }

  absl::Status SayOften(weft::ServerContext& context, greet::HelloRequest& request,
                        weft::ServerWriter<greet::HelloReply>& replies) override {
    greet::HelloReply reply;
    for (int i = 1; !context.cancelled(); ++i) {
      reply.set_text(absl::StrCat("hello ", i, ", ", request.name()));
      // As in gRPC, false means that nobody will read: the client has gone or cancelled.
      if (!replies.Write(reply)) break;
    }
    left_early.set_value();
    return absl::CancelledError("nobody listens");
  }

  absl::Status Chat(weft::ServerContext&,
                    weft::ServerStream<greet::HelloRequest, greet::HelloReply>& chat) override {
    greet::HelloRequest request;
    greet::HelloReply reply;
    while (chat.Read(&request)) {
      reply.set_text("hello, " + request.name());
      if (!chat.Write(reply)) break;
    }
    return absl::OkStatus();
  }

  std::promise<void> left_early;
};

std::string TextOf(const absl::StatusOr<greet::HelloReply>& reply) {
  return reply.ok() ? reply->text() : std::string(reply.status().message());
}

greet::HelloRequest From(const char* name) {
  greet::HelloRequest request;
  request.set_name(name);
  return request;
}

void Unary(greet::Greeter::Stub stub) {
  weft::ClientContext context;
  if (!context.metadata().Add("tenant", "blue").ok()) return;
  const absl::StatusOr<greet::HelloReply> reply =
      // The timeout is a duration from now, where gRPC's set_deadline takes a time.
      stub.Say(From("gRPC"), {.timeout = absl::Seconds(1), .context = &context});
  std::printf("%s; lang %s\n", TextOf(reply).c_str(),
              std::string(context.trailers().Get("lang").value_or("?")).c_str());

  // A context is needed only for metadata, cancelling and what is known afterwards.
  const absl::StatusOr<greet::HelloReply> error = stub.Say(greet::HelloRequest());
  std::printf("an error: %s\n", error.status().ToString().c_str());
}

weft::Coro<std::string> Awaited(greet::Greeter::Stub stub) {
  co_return TextOf(co_await stub.SayCoro(From("coroutine")));
}

void WithoutWaiting(greet::Greeter::Stub stub) {
  // There is no counterpart of gRPC's CompletionQueue: weft's own threads run the callback.
  std::promise<std::string> called;
  stub.SayAsync(From("callback"), {},
                [&](absl::StatusOr<greet::HelloReply> reply) { called.set_value(TextOf(reply)); });
  std::printf("%s\n", called.get_future().get().c_str());

  std::promise<std::string> awaited;
  weft::Spawn(Awaited(stub), [&](std::optional<std::string> text, std::exception_ptr) {
    awaited.set_value(text.value_or("it threw"));
  });
  std::printf("%s\n", awaited.get_future().get().c_str());
}

void Streams(greet::Greeter::Stub stub, Greeter& service) {
  {
    auto replies = stub.SayOften(From("stream"));
    greet::HelloReply reply;
    if (replies.Read(&reply)) std::printf("%s\n", reply.text().c_str());
  }  // a reader that is destroyed cancels its call
  // The handler notices at its next write or look; the example is to show that it does.
  service.left_early.get_future().wait();

  // gRPC's calls have no deadline unless one is given. Here a call without a timeout has the
  // channel's.
  auto chat = stub.Chat({.timeout = absl::InfiniteDuration()});
  greet::HelloReply reply;
  if (chat.Write(From("both ways")) && chat.Read(&reply)) {
    std::printf("%s\n", reply.text().c_str());
  }
  chat.HalfClose();  // gRPC's WritesDone
  const absl::Status end = chat.Finish();
  std::printf("the end: %s\n", absl::StatusCodeToString(end.code()).c_str());
}

int main() {
  Greeter service;
  weft::Server server({.io_threads = 1, .worker_threads = 4});
  // gRPC's ServerBuilder is split: options, Register and Start, each with its own error.
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;

  auto channel = weft::Channel::Create("127.0.0.1:" + std::to_string(server.port()));
  if (!channel.ok()) return 1;
  greet::Greeter::Stub stub(**channel);
  Unary(stub);
  WithoutWaiting(stub);
  Streams(stub, service);
  // gRPC's Shutdown with a deadline: calls under way have so long to end.
  server.Stop(absl::Seconds(5));
  return 0;
}
