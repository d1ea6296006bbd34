// Says who the other end of a connection is, or who makes a call, or that it may not. Functions of
// two forms are one:
//
//   .authenticator = [](const weft::AuthenticationRequest& asks) { … }
//   .authenticator = [](std::string_view token, const std::string& peer) { … }
//
// It is asked for each connection and, where calls are authenticated one by one
// (ServerOptions::authenticate_calls), for each call, too.
//
// Threads  value; called on threads of its own, several at once
// Errors   an error of the function: the peer may not talk, or the call is not executed. A null one
//          is not called
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
  // The token of the peer's Hello: ChannelOptions::auth_token or ServerOptions::auth_token. Of a
  // call with the metadata "authorization": the token there.
  std::string_view token;
  // The peer's address.
  const std::string& peer;
  // What the transport's handshake has verified; empty for plain connections.
  const TransportIdentity& transport;
  // "bearer", of "authorization: Bearer abc"; in lower case. Empty: the token has none.
  std::string_view scheme = {};
  // Of a call: "demo.Greeter/Say". Empty: it is the connection that is asked for.
  std::string_view method = {};
  // Of a call: who its connection's peer is, as was said when that was asked for.
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
