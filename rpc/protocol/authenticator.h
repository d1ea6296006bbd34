// Decides who the other end of a connection is, or who makes a call, or refuses them. Takes
// functions of two forms:
//
//   .authenticator = [](const weft::AuthenticationRequest& asks) { … }
//   .authenticator = [](std::string_view token, const std::string& peer) { … }
//
// Asked for each connection and, with ServerOptions::authenticate_calls, for each call, too.
//
// Threads  value; called on threads of its own, several at once
// Errors   an error from the function: the peer may not talk, or the call is not executed. A null
//          authenticator must not be called
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
  // The token of the peer's Hello: ChannelOptions::auth_token or ServerOptions::auth_token. For a
  // call with the metadata "authorization": the token there.
  std::string_view token;
  // The peer's address.
  const std::string& peer;
  // The identity verified by the transport's handshake; empty for plain connections.
  const TransportIdentity& transport;
  // The lower-case scheme, such as "bearer" of "authorization: Bearer abc"; empty: none.
  std::string_view scheme = {};
  // A call's method: "demo.Greeter/Say". Empty: the request is about a connection.
  std::string_view method = {};
  // For a call: the identity that the authenticator gave its connection.
  std::string_view connection = {};

  bool is_call() const { return !method.empty(); }
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
