#include "weft/rpc/server/listener.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::internal {

absl::StatusOr<std::unique_ptr<const Listener>> Listener::Make(
    ListenerOptions options, const ServerOptions& server, const Dispatcher& dispatcher,
    std::shared_ptr<AuthenticationQueue> authentications,
    std::shared_ptr<AuthenticationPlaces> places, const Runtime& runtime, const Log& log) {
  auto made = std::make_unique<Listener>();
  made->protocols = options.protocols.empty() ? server.protocols : std::move(options.protocols);
  // A single protocol that accepts is enough: others in the list may be there to be dialled.
  if (std::ranges::all_of(made->protocols, [](const Protocol& p) { return p.accept == nullptr; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("listener: protocol ", std::string(made->protocols.front().name),
                     " does not accept (it only dials), and there is no other"));
  }
  // A value that is set counts, also a null one: this listener then takes plain bytes.
  made->transport = options.transport.value_or(server.transport);
  made->transport_optional = options.transport_optional.value_or(server.transport_optional);
  if (made->transport != nullptr && made->transport_optional &&
      made->transport->matcher() == nullptr) {
    return absl::InvalidArgumentError(
        "listener: its transport cannot be optional (transport_optional): nothing tells its first "
        "bytes from plain ones (TransportFactory::matcher)");
  }
  for (std::string& service : options.services) {
    if (!dispatcher.Has(service)) {
      return absl::InvalidArgumentError(
          absl::StrCat("listener: no service ", service, " is registered with this server"));
    }
    made->services.insert(std::move(service));
  }
  // Not set: the server's authenticator. Set to null: everybody may talk.
  if (!options.authenticator.has_value()) {
    made->authentications = std::move(authentications);
  } else if (*options.authenticator != nullptr) {
    absl::StatusOr<std::unique_ptr<AuthenticationQueue>> queue = AuthenticationQueue::Create(
        *std::move(options.authenticator),
        {.threads = server.authenticator_threads, .places = std::move(places)}, log,
        runtime.clock());
    if (!queue.ok()) return queue.status();
    made->authentications = *std::move(queue);
  }
  // A listener that was opened to everybody by its own options takes everybody's calls, too,
  // whatever the server's authenticate_calls says.
  const bool open = options.authenticator.has_value() && made->authentications == nullptr;
  made->authenticate_calls =
      options.authenticate_calls.value_or(server.authenticate_calls && !open);
  if (made->authenticate_calls && made->authentications == nullptr) {
    return absl::InvalidArgumentError(
        "listener: authenticate_calls, and no authenticator that could be asked");
  }
  return std::unique_ptr<const Listener>(std::move(made));
}

}  // namespace weft::internal
