// The native protocol with a planted fault: a connection that has lost against another one of the
// same pair is not left. So both stay, at both ends.
//
// Threads  as Session and SessionHost
// Owns     the session
#ifndef WEFT_TESTS_MESH_BOTH_KEPT_H_
#define WEFT_TESTS_MESH_BOTH_KEPT_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "weft/rpc/default_protocols.h"
#include "weft/rpc/protocol/session.h"
#include "weft/rpc/protocol/session_host.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::test {

class BothKept final : public internal::Session, private internal::SessionHost {
 public:
  static Protocol Row() {
    Protocol row = internal::DefaultProtocols().front();
    row.accept = [](internal::SessionSeed seed, const internal::SessionContext& context) {
      return Wrapped(internal::DefaultProtocols().front().accept, std::move(seed), context);
    };
    row.dial = [](internal::SessionSeed seed, const internal::SessionContext& context) {
      return Wrapped(internal::DefaultProtocols().front().dial, std::move(seed), context);
    };
    return row;
  }

  // Session
  absl::Status Start(internal::SessionStart start) override {
    return real_->Start(std::move(start));
  }
  std::shared_ptr<internal::CallLink> link() const override { return real_->link(); }
  bool confirms_going_away() const override { return real_->confirms_going_away(); }
  void GoAway(const absl::Status& why) override {
    if (!Beaten(why)) real_->GoAway(why);
  }
  void CloseWhenWritten(CloseReason reason, const absl::Status& why, Nanos limit) override {
    if (!Beaten(why)) real_->CloseWhenWritten(reason, why, limit);
  }
  void Close(CloseReason reason, const absl::Status& why) override {
    if (!Beaten(why)) real_->Close(reason, why);
  }
  void SetMayPause(bool may) override { real_->SetMayPause(may); }
  void CancelInbound() override { real_->CancelInbound(); }
  void Probe(std::function<void()> alive) override { real_->Probe(std::move(alive)); }
  size_t inbound_calls() const override { return real_->inbound_calls(); }
  const std::string& peer() const override { return real_->peer(); }
  std::shared_ptr<internal::ConnectionGauge> gauge() const override { return real_->gauge(); }

 private:
  using Make = std::unique_ptr<internal::Session> (*)(internal::SessionSeed seed,
                                                      const internal::SessionContext& context);

  explicit BothKept(internal::SessionHost& host) : host_(host) {}

  static std::unique_ptr<internal::Session> Wrapped(Make make, internal::SessionSeed seed,
                                                    const internal::SessionContext& context) {
    auto kept = std::unique_ptr<BothKept>(new BothKept(context.host));
    kept->real_ = make(std::move(seed), internal::SessionContext{context.io, *kept, context.sink,
                                                                 context.pool, context.config});
    return kept;
  }
  static bool Beaten(const absl::Status& why) {
    return absl::StrContains(why.message(), "another connection with ") ||
           absl::StrContains(why.message(), "has lost this connection");
  }

  // SessionHost
  absl::Status OnHello(internal::Session&, const internal::HelloFacts& peer,
                       internal::HelloFacts* own) override {
    return host_.OnHello(*this, peer, own);
  }
  absl::Status OnIdentified(internal::Session&, const internal::ConnectedPeer& who,
                            const internal::HelloFacts& peer, internal::HelloFacts* own) override {
    return host_.OnIdentified(*this, who, peer, own);
  }
  void OnUp(internal::Session&) override { host_.OnUp(*this); }
  void OnGoingAway(internal::Session&, const absl::Status& why) override {
    host_.OnGoingAway(*this, why);
  }
  void OnLastCallEnded(internal::Session&) override { host_.OnLastCallEnded(*this); }
  void OnInboundCallsEnded(internal::Session&) override { host_.OnInboundCallsEnded(*this); }
  void OnGoAwayConfirmed(internal::Session&) override { host_.OnGoAwayConfirmed(*this); }
  void OnSuspect(internal::Session&, bool suspect) override { host_.OnSuspect(*this, suspect); }
  void OnEnded(internal::Session&, CloseReason reason, const absl::Status& why) override {
    host_.OnEnded(*this, reason, why);
  }
  void Authenticate(internal::Session&, std::string_view token, Verdict verdict) override {
    host_.Authenticate(*this, token, std::move(verdict));
  }
  void CountLateReply() override { host_.CountLateReply(); }

  internal::SessionHost& host_;
  std::unique_ptr<internal::Session> real_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_BOTH_KEPT_H_
