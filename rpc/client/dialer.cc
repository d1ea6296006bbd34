#include "weft/rpc/client/dialer.h"

#include <utility>

namespace weft::internal {

Dialer::Dialer(EventLoop& loop, DialerOptions options)
    : loop_(loop),
      options_(std::move(options)),
      connector_(loop, options_.network),
      handshake_(options_.transport != nullptr ? std::make_unique<TransportHandshake>(loop)
                                               : nullptr) {}

void Dialer::Start(const HostPort& target, const std::string& target_text, Nanos limit,
                   OnConnected done) {
  if (handshake_ != nullptr) handshake_->Cancel();
  // Connecting and the handshake share one deadline.
  const MonoTime deadline = SaturatingAdd(loop_.clock().Now(), limit);
  connector_.Start(target, target_text, limit,
                   [this, host = target.host, target_text, deadline,
                    done = std::move(done)](absl::StatusOr<std::unique_ptr<Transport>> plain) {
                     loop_.AssertInLoop();
                     ShakeHands(std::move(plain), host, target_text, deadline, done);
                   });
}

void Dialer::Cancel() {
  connector_.Cancel();
  if (handshake_ != nullptr) handshake_->Cancel();
}

void Dialer::ShakeHands(absl::StatusOr<std::unique_ptr<Transport>> plain, const std::string& host,
                        std::string target_text, MonoTime deadline, OnConnected done) {
  // Before the handshake, so that a peer that vanishes during it is noticed as well.
  if (plain.ok()) (*plain)->SetLostAfter(options_.lost_after);
  if (!plain.ok() || handshake_ == nullptr) {
    done(std::move(plain));  // may destroy this
    return;
  }
  std::unique_ptr<Transport> transport = options_.transport->Wrap(*std::move(plain), ReadAhead(),
                                                                  {.role = HandshakeRole::kDialer,
                                                                   .server_name = host,
                                                                   .alpn = options_.alpn,
                                                                   .deadline = deadline});
  handshake_->Start(std::move(transport), HandshakeRole::kDialer, std::move(target_text), deadline,
                    std::move(done));
}

}  // namespace weft::internal
