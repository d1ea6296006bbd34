#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "vault.weft.h"
#include "weft/core/runtime.h"
#include "weft/rpc/channel.h"
#include "weft/rpc/server.h"

class Vault final : public vault::Vault::Service {
 public:
  absl::Status Open(weft::ServerContext& call, vault::OpenRequest&,
                    vault::OpenReply& reply) override {
    // A missing key is not an error: old clients do not send it.
    const std::string_view drawer = call.metadata().Get("drawer").value_or("top");
    reply.set_content(absl::StrCat("the ", std::string(drawer), " drawer, for ", call.identity()));
    // Add refuses a key or value that cannot be sent; unchecked, it would be missing without a
    // word.
    if (absl::Status s = call.initial_metadata().Add("vault", "north"); !s.ok()) return s;
    return call.trailers().Add("drawers-left", "3");
  }
};

// Runs on a thread of the authenticator's own, once for each connection. It may block, as for a
// look into a database: only that client's calls wait.
absl::StatusOr<std::string> WhoIs(std::string_view token, const std::string& /*peer*/) {
  if (token == "open sesame") return "Ali Baba";
  return absl::UnauthenticatedError("a wrong token");
}

// Keeps lines instead of writing them to standard error.
class Lines final : public weft::LogSink {
 public:
  void Write(weft::LogLevel, std::string_view line) override {
    // A sink is called by any thread.
    const std::lock_guard lock(mu_);
    lines_.emplace_back(line);
  }
  size_t size() {
    const std::lock_guard lock(mu_);
    return lines_.size();
  }

 private:
  std::mutex mu_;
  std::vector<std::string> lines_;
};

int main() {
  // Shared: the runtime keeps its sink, and main reads the lines at the end.
  auto lines = std::make_shared<Lines>();
  auto runtime = weft::Runtime::Create({.io_threads = 2, .worker_threads = 2, .log_sink = lines});
  if (!runtime.ok()) return 1;

  Vault service;
  weft::ServerOptions server_options;
  server_options.runtime = *runtime;
  server_options.authenticator = WhoIs;
  // So small only to be passed below.
  server_options.limits.max_message_bytes = 1000;
  weft::Server server(server_options);
  absl::Status status = server.Register(service);
  if (status.ok()) status = server.Start("127.0.0.1:0");
  if (!status.ok()) return 1;
  const std::string target = "127.0.0.1:" + std::to_string(server.port());

  weft::ChannelOptions channel_options;
  channel_options.runtime = *runtime;
  channel_options.auth_token = "open sesame";
  channel_options.log.level = weft::LogLevel::kOff;  // the server's lines are enough
  // The options are copied: they are changed for a second channel below.
  auto channel = weft::Channel::Create(target, channel_options);
  if (!channel.ok()) return 1;
  vault::Vault::Stub vault(**channel);

  vault::OpenRequest request;
  // Serves one call: a second call needs a context of its own.
  weft::ClientContext context;
  status = context.metadata().Add("drawer", "bottom");
  if (!status.ok()) return 1;
  const auto reply = vault.Open(request, {.timeout = absl::Seconds(1), .context = &context});
  std::printf("%s\n", reply.ok() ? reply->content().c_str() : reply.status().ToString().c_str());
  std::printf("the vault: %s\n",
              std::string(context.initial_metadata().Get("vault").value_or("?")).c_str());
  std::printf("drawers left: %s\n",
              std::string(context.trailers().Get("drawers-left").value_or("?")).c_str());
  std::printf("the server took less than a second: %s\n",
              context.handler_time() < absl::Seconds(1) ? "yes" : "no");

  // Larger than max_message_bytes above.
  request.set_key(std::string(2000, 'k'));
  std::printf("%s\n", vault.Open(request).status().ToString().c_str());

  for (const weft::MethodStatsSnapshot& method : server.Stats()) {
    std::printf("%s: %d call, %d errors\n", method.method.c_str(), static_cast<int>(method.calls),
                static_cast<int>(method.errors()));
  }
  for (const weft::CallStatsSnapshot& method : (*channel)->Stats()) {
    std::printf("%s: %lld under way, %lld ended, %lld of them with an error, 99%% within %lld us\n",
                method.method.c_str(), static_cast<long long>(method.in_flight),
                static_cast<long long>(method.calls), static_cast<long long>(method.errors()),
                static_cast<long long>(method.Quantile(0.99).count() / 1000));
  }

  channel_options.auth_token = "sesame open";
  auto stranger = weft::Channel::Create(target, channel_options);
  if (!stranger.ok()) return 1;
  // The token goes with the connection, so the refusal ends the first call that needs it.
  const absl::Status refused = vault::Vault::Stub(**stranger).Open(vault::OpenRequest()).status();
  std::printf("with a wrong token: %s\n", absl::StatusCodeToString(refused.code()).c_str());

  server.Stop();
  std::printf("connections not authenticated: %d, lines in the log: %d\n",
              static_cast<int>(server.closed(weft::CloseReason::kUnauthenticated)),
              static_cast<int>(lines->size()));
  return 0;
}
