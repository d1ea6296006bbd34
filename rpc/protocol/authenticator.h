// Says who an accepted connection's client is. Functions of two forms are one:
//
//   .authenticator = [](const weft::AuthenticationRequest& asks) { … }
//   .authenticator = [](std::string_view token, const std::string& peer) { … }
//
// Threads  value; called on the server's authenticator threads, several at once
// Errors   an error of the function: the client may not talk. A null one is not called
#ifndef WEFT_RPC_PROTOCOL_AUTHENTICATOR_H_
#define WEFT_RPC_PROTOCOL_AUTHENTICATOR_H_

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "weft/core/transport_identity.h"

namespace weft {

// Valid until the authenticator returns.
struct AuthenticationRequest {
  // ChannelOptions::auth_token of the client.
  std::string_view token;
  // Its address.
  const std::string& peer;
  // What the transport's handshake has verified, where ServerOptions::transport is set.
  const TransportIdentity& transport;
};

class Authenticator {
 public:
  using OfRequest = std::function<absl::StatusOr<std::string>(const AuthenticationRequest&)>;
  using OfToken =
      std::function<absl::StatusOr<std::string>(std::string_view token, const std::string& peer)>;

  Authenticator() = default;
  Authenticator(std::nullptr_t) {}  // NOLINT: as a function of the standard library
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Authenticator> &&
             std::is_convertible_v<F, OfRequest>)
  Authenticator(F&& function)  // NOLINT: likewise
      : function_(std::forward<F>(function)) {}
  template <typename F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Authenticator> &&
             std::is_convertible_v<F, OfToken> && !std::is_convertible_v<F, OfRequest>)
  Authenticator(F&& function)  // NOLINT: likewise
      : Authenticator(FromToken(OfToken(std::forward<F>(function)))) {}

  explicit operator bool() const { return function_ != nullptr; }
  bool operator==(std::nullptr_t) const { return function_ == nullptr; }
  absl::StatusOr<std::string> operator()(const AuthenticationRequest& asks) const {
    return function_(asks);
  }
  absl::StatusOr<std::string> operator()(std::string_view token, const std::string& peer) const {
    return function_({token, peer, TransportIdentity::None()});
  }

 private:
  static OfRequest FromToken(OfToken function) {
    if (function == nullptr) return nullptr;
    return [function = std::move(function)](const AuthenticationRequest& asks) {
      return function(asks.token, asks.peer);
    };
  }

  OfRequest function_;
};

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_AUTHENTICATOR_H_
