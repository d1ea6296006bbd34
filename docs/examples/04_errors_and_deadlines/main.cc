#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lab.weft.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

// The URL that google.protobuf.Any would use: any client then knows how to parse the payload.
constexpr char kChoice[] = "type.googleapis.com/lab.Choice";

class Lab final : public lab::Lab::Service {
 public:
  absl::Status Pick(weft::ServerContext&, lab::PickRequest& request, lab::PickReply&) override {
    // Ends this call with UNKNOWN, and nothing else: the server goes on.
    if (request.name() == "bomb") throw std::runtime_error("it went off");
    lab::Choice choice;
    choice.add_names("flask");
    choice.add_names("scale");
    absl::Status status = absl::NotFoundError(absl::StrCat("no ", request.name(), " here"));
    status.SetPayload(kChoice, absl::Cord(choice.SerializeAsString()));
    return status;
  }

  absl::Status Work(weft::ServerContext& call, lab::WorkRequest& request,
                    lab::WorkReply&) override {
    const absl::Time end = absl::Now() + absl::Milliseconds(request.milliseconds());
    while (absl::Now() < end) {
      // Nobody stops a handler from outside. It must look, or work on for nobody.
      if (call.cancelled()) {
        ++given_up_;
        return absl::CancelledError("nobody waits any more");
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
    return absl::OkStatus();
  }

  int given_up() const { return given_up_; }

 private:
  // Handlers run on several workers at once.
  std::atomic<int> given_up_{0};
};

void Show(const char* what, const absl::Status& status) {
  // Without the payload, which is bytes that nobody can read.
  const std::string text = status.ToString(absl::StatusToStringMode::kWithNoExtraData);
  std::printf("%s\n  %s\n", what, text.c_str());
}

void Errors(lab::Lab::Stub stub) {
  lab::PickRequest pick;
  pick.set_name("unicorn");
  const absl::Status missing = stub.Pick(pick).status();
  Show("A handler's error:", missing);
  // A payload is optional: an older server, or an error of weft itself, has none.
  if (const auto payload = missing.GetPayload(kChoice)) {
    lab::Choice choice;
    choice.ParseFromString(std::string(*payload));
    std::printf("  it names %d others, first %s\n", choice.names_size(), choice.names(0).c_str());
  }

  pick.set_name("bomb");
  Show("A handler that throws:", stub.Pick(pick).status());
  // Lab does not override Later: the generated base class answers.
  Show("A method without a handler:", stub.Later(lab::WorkRequest()).status());
}

void Deadlines(lab::Lab::Stub stub, const Lab& service) {
  lab::WorkRequest work;
  // Far longer than the deadline and the cancelling below: neither call can end well by chance.
  work.set_milliseconds(5000);
  weft::ClientContext expires;
  Show("A deadline:",
       stub.Work(work, {.timeout = absl::Milliseconds(50), .context = &expires}).status());
  // "yes" asks the caller to look before it tries again: the handler had begun.
  std::printf("  may have been executed: %s\n", expires.may_have_been_executed() ? "yes" : "no");

  weft::ClientContext cancelled;
  // Another thread, since this one waits inside the call. The sleep lets the call begin first.
  std::thread other([&cancelled] {
    absl::SleepFor(absl::Milliseconds(50));
    cancelled.Cancel();
  });
  Show("Cancelled by another thread:", stub.Work(work, {.context = &cancelled}).status());
  other.join();

  // The callers have their errors at once; the handlers notice at their next look.
  while (service.given_up() < 2) absl::SleepFor(absl::Milliseconds(1));
  std::printf("Both handlers have given up.\n");
}

void NoServer(const std::string& target) {
  // OK without a server: Create only looks at the address, and the first call connects.
  auto channel = weft::Channel::Create(target);
  if (!channel.ok()) return Show("A channel:", channel.status());
  weft::ClientContext context;
  const absl::Status refused =
      lab::Lab::Stub(**channel).Later(lab::WorkRequest(), {.context = &context}).status();
  Show("Nobody listens:", refused);
  // "no" is a promise: any method may be called again.
  std::printf("  may have been executed: %s\n", context.may_have_been_executed() ? "yes" : "no");
  Show("An address that cannot be:", weft::Channel::Create("localhost").status());
}

int main() {
  Lab service;
  weft::Server server({.io_threads = 1, .worker_threads = 2});
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  const std::string target = "127.0.0.1:" + std::to_string(server.port());
  auto channel = weft::Channel::Create(target);
  if (!status.ok() || !channel.ok()) return 1;

  Errors(lab::Lab::Stub(**channel));
  Deadlines(lab::Lab::Stub(**channel), service);
  // Its port has no listener from here on, which NoServer needs.
  server.Stop();
  NoServer(target);
  return 0;
}
