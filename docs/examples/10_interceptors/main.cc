#include <atomic>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bank.weft.h"
#include "weft/rpc/call/interceptor.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

// Says on whose behalf each call is made.
class OnBehalf final : public weft::ClientInterceptor {
 public:
  explicit OnBehalf(std::string user) : user_(std::move(user)) {}

  absl::StatusOr<std::unique_ptr<Call>> Start(const weft::ClientCallStart& start) override {
    // An error ends the call here, before anything is sent.
    if (absl::Status s = start.metadata.Add("user", user_); !s.ok()) return s;
    return nullptr;  // need not see the rest
  }

 private:
  const std::string user_;
};

// Lets nobody but the owner pay.
class OwnerOnly final : public weft::ServerInterceptor {
 public:
  absl::StatusOr<std::unique_ptr<Call>> Start(const weft::ServerCallStart& start) override {
    // A claim of the client's: identity() is what the authenticator has checked, so both are asked.
    const std::string_view user = start.metadata.Get("user").value_or("nobody");
    if (start.context.identity() == "the branch" && user == "Scrooge") return nullptr;
    return absl::PermissionDeniedError("not " + std::string(user) + "'s money");
  }
};

absl::StatusOr<std::string> WhoIs(std::string_view token, const std::string& /*peer*/) {
  if (token == "branch secret") return "the branch";
  return absl::UnauthenticatedError("a wrong token");
}

// Counts calls and bytes of all channels. Atomic: hooks of different calls run at the same time.
struct Totals {
  std::atomic<int> calls{0}, errors{0};
  std::atomic<size_t> sent{0}, received{0};
};

class Measure final : public weft::ClientInterceptor {
 public:
  explicit Measure(Totals& totals) : totals_(totals) {}

  absl::StatusOr<std::unique_ptr<Call>> Start(const weft::ClientCallStart&) override {
    // A new object for each call, which weft destroys behind its OnEnd.
    return std::make_unique<Measured>(totals_);
  }

 private:
  struct Measured final : public Call {
    explicit Measured(Totals& t) : totals(t) {}
    // Runs once however the call ends, mostly on an I/O thread: it must not block.
    void OnEnd(const weft::ClientCallEnd& end) override {
      totals.calls += 1;
      totals.errors += end.status.ok() ? 0 : 1;
      totals.sent += end.volume.sent_bytes;
      totals.received += end.volume.received_bytes;
    }
    Totals& totals;
  };
  Totals& totals_;
};

class Bank final : public bank::Bank::Service {
 public:
  absl::Status Pay(weft::ServerContext&, bank::PayRequest& request,
                   bank::PayReply& reply) override {
    left_ -= request.coins();
    reply.set_left(left_);
    return absl::OkStatus();
  }

 private:
  // Handlers run on several workers at once.
  std::atomic<int> left_{100};
};

int main() {
  Bank service;
  weft::ServerOptions server_options;
  server_options.authenticator = WhoIs;
  server_options.interceptors = {std::make_shared<OwnerOnly>()};
  weft::Server server(server_options);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;
  const std::string target = "127.0.0.1:" + std::to_string(server.port());

  // Before the channels, whose interceptors refer to it.
  Totals totals;
  for (const char* user : {"Scrooge", "Beagle"}) {
    // A channel for each user: interceptors belong to a channel, not to a call.
    weft::ChannelOptions options;
    options.auth_token = "branch secret";
    // Measure first: it encloses OnBehalf, and counts calls that OnBehalf refuses.
    options.interceptors = {std::make_shared<Measure>(totals), std::make_shared<OnBehalf>(user)};
    auto channel = weft::Channel::Create(target, options);
    if (!channel.ok()) return 1;
    bank::PayRequest request;
    request.set_coins(10);
    weft::ClientContext context;
    const auto reply = bank::Bank::Stub(**channel).Pay(request, {.context = &context});
    std::printf("%s: %s\n", user,
                reply.ok() ? (std::to_string(reply->left()) + " left").c_str()
                           : reply.status().ToString().c_str());
    // The interceptor refused before the handler, and the client knows it.
    if (!reply.ok() && !context.may_have_been_executed()) std::printf("not executed\n");
  }
  std::printf("calls: %d, errors: %d\n", totals.calls.load(), totals.errors.load());
  return 0;
}
