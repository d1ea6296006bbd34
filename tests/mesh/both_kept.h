// A fault of its own: the native protocol, but that a connection which another one of the same pair
// has beaten is not left. So both stay, at both ends.
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

class BothKept final : public Session, private SessionHost {
 public:
  static Protocol Row() {
    Protocol row = DefaultProtocols().front();
    row.accept = [](SessionSeed seed, const SessionContext& context) {
      return Wrapped(DefaultProtocols().front().accept, std::move(seed), context);
    };
    row.dial = [](SessionSeed seed, const SessionContext& context) {
      return Wrapped(DefaultProtocols().front().dial, std::move(seed), context);
    };
    return row;
  }

  // Session
  absl::Status Start(SessionStart start) override { return real_->Start(std::move(start)); }
  std::shared_ptr<CallLink> link() const override { return real_->link(); }
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
  std::shared_ptr<ConnectionGauge> gauge() const override { return real_->gauge(); }

 private:
  using Make = std::unique_ptr<Session> (*)(SessionSeed seed, const SessionContext& context);

  explicit BothKept(SessionHost& host) : host_(host) {}

  static std::unique_ptr<Session> Wrapped(Make make, SessionSeed seed,
                                          const SessionContext& context) {
    auto kept = std::unique_ptr<BothKept>(new BothKept(context.host));
    kept->real_ = make(std::move(seed), SessionContext{context.io, *kept, context.sink,
                                                       context.pool, context.config});
    return kept;
  }
  static bool Beaten(const absl::Status& why) {
    return absl::StrContains(why.message(), "another connection with ") ||
           absl::StrContains(why.message(), "has lost this connection");
  }

  // SessionHost
  absl::Status OnHello(Session&, const HelloFacts& peer, HelloFacts* own) override {
    return host_.OnHello(*this, peer, own);
  }
  absl::Status OnIdentified(Session&, const ConnectedPeer& who, const HelloFacts& peer,
                            HelloFacts* own) override {
    return host_.OnIdentified(*this, who, peer, own);
  }
  void OnUp(Session&) override { host_.OnUp(*this); }
  void OnGoingAway(Session&, const absl::Status& why) override { host_.OnGoingAway(*this, why); }
  void OnLastCallEnded(Session&) override { host_.OnLastCallEnded(*this); }
  void OnInboundCallsEnded(Session&) override { host_.OnInboundCallsEnded(*this); }
  void OnGoAwayConfirmed(Session&) override { host_.OnGoAwayConfirmed(*this); }
  void OnSuspect(Session&, bool suspect) override { host_.OnSuspect(*this, suspect); }
  void OnEnded(Session&, CloseReason reason, const absl::Status& why) override {
    host_.OnEnded(*this, reason, why);
  }
  void Authenticate(Session&, std::string_view token, Verdict verdict) override {
    host_.Authenticate(*this, token, std::move(verdict));
  }
  void CountLateReply() override { host_.CountLateReply(); }

  SessionHost& host_;
  std::unique_ptr<Session> real_;
};

}  // namespace weft::test

#endif  // WEFT_TESTS_MESH_BOTH_KEPT_H_
