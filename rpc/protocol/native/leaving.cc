#include "weft/rpc/protocol/native/leaving.h"

#include <utility>

#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/handshake_phase.h"
#include "weft/rpc/protocol/native/inbound_table.h"

namespace weft::internal::native {
namespace {

// The text is the application's. A GOAWAY has to fit into the smallest frame.
constexpr size_t kMaxGoAwayBytes = 1024;

std::string_view GoAwayText(const absl::Status& why) {
  const absl::string_view text = why.message();
  return std::string_view(text.data(), text.size()).substr(0, kMaxGoAwayBytes);
}

}  // namespace

void Leaving::Announce(const absl::Status& why) {
  if (shared_.phase.ending() || steps_.state() != GoAwaySteps::State::kTaking) return;
  // A peer without a verdict goes straight to the second step: none of its calls is taken, and it
  // may send them elsewhere at once.
  if (!shared_.phase.up()) {
    Name(why, /*last=*/false);
    return;
  }
  steps_.Announce(shared_.loop, why, [this] {
    shared_.loop.AssertInLoop();
    Name(steps_.why(), /*last=*/false);
  });
  shared_.frames().SendFrame({0, FrameType::kGoAway, 0, ToWireCode(why.code()), kNoCallNamed},
                             GoAwayText(why));
  // Ends of calls are told from now on; tell once for those before.
  if (!shared_.phase.ending()) shared_.host.OnOwnCallsEnded(shared_.session);
}

void Leaving::FinishAnnounced() {
  if (steps_.state() == GoAwaySteps::State::kAnnounced) Name(steps_.why(), /*last=*/false);
}

void Leaving::Name(const absl::Status& why, bool last) {
  if (shared_.phase.ending()) return;
  const uint64_t last_id = shared_.parts.inbound.last_id();
  // No frame may go before this side's preface and Hello.
  const bool says = steps_.Name(last_id) && shared_.parts.handshake.MaySpeak();
  if (says) shared_.parts.handshake.SendHelloFirst();
  const FrameHeader header{0, FrameType::kGoAway, 0, ToWireCode(why.code()), last_id};
  if (last) {
    shared_.frames().SendLast(says ? &header : nullptr, GoAwayText(why));
  } else if (says) {
    shared_.frames().SendFrame(header, GoAwayText(why));
  }
}

// StopStarting first: no request of this side may follow its confirmation.
void Leaving::TakeGoAway(const FrameHeader& header, std::string_view body) {
  shared_.link->StopStarting();
  shared_.frames().SendFrame({0, FrameType::kGoAwayAck, 0, 0, 0}, "");
  const absl::Status why(
      FromWireCode(header.aux == 0 ? ToWireCode(absl::StatusCode::kUnavailable) : header.aux),
      Printable::Text(body));
  shared_.parts.ender.EndAbove(header.id, why);
  if (shared_.phase.ending()) return;  // ended by a callback of one of those calls
  // The connection stays in use until the peer's last GOAWAY has come.
  const bool named = header.id != kNoCallNamed || peer_ == Peer::kNamed;
  const Peer before = std::exchange(peer_, named ? Peer::kNamed : Peer::kAnnounced);
  if (before == Peer::kStays) shared_.host.OnGoingAway(shared_.session, why);
}

void Leaving::TakeAck() {
  if (steps_.OnAck()) shared_.host.OnGoAwayConfirmed(shared_.session);
}

void Leaving::TellIfIdle() {
  if (!shared_.phase.up()) return;
  shared_.host.OnOwnCallsEnded(shared_.session);
  if (!shared_.phase.up() || shared_.parts.inbound.size() > 0) return;
  if (steps_.state() != GoAwaySteps::State::kTaking) {
    shared_.host.OnInboundCallsEnded(shared_.session);
  }
  if (!shared_.phase.up() || peer_ != Peer::kNamed) return;
  if (shared_.link->Volume().calls == 0) shared_.host.OnLastCallEnded(shared_.session);
}

}  // namespace weft::internal::native
