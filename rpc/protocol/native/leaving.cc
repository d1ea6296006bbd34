#include "weft/rpc/protocol/native/leaving.h"

#include <utility>

#include "weft/core/printable.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/handshake_phase.h"
#include "weft/rpc/protocol/native/inbound_table.h"

namespace weft::native {
namespace {

constexpr size_t kMaxGoAwayBytes = 1024;

std::string_view GoAwayText(const absl::Status& why) {
  const absl::string_view text = why.message();
  return std::string_view(text.data(), text.size()).substr(0, kMaxGoAwayBytes);
}

}  // namespace

void Leaving::Announce(const absl::Status& why) {
  if (shared_.phase.ending() || steps_.state() != GoAwaySteps::State::kTaking) return;
  // None of a peer that is not known is taken any more: it may send its calls elsewhere at once.
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
}

void Leaving::FinishAnnounced() {
  if (steps_.state() == GoAwaySteps::State::kAnnounced) Name(steps_.why(), /*last=*/false);
}

void Leaving::Name(const absl::Status& why, bool last) {
  if (shared_.phase.ending()) return;
  const uint64_t last_id = shared_.parts.inbound.last_id();
  // Nothing goes before our preface, nor before our Hello.
  const bool says = steps_.Name(last_id) && shared_.parts.handshake.MaySpeak();
  if (says) shared_.parts.handshake.SendHelloFirst();
  const FrameHeader header{0, FrameType::kGoAway, 0, ToWireCode(why.code()), last_id};
  if (last) {
    shared_.frames().SendLast(says ? &header : nullptr, GoAwayText(why));
  } else if (says) {
    shared_.frames().SendFrame(header, GoAwayText(why));
  }
}

// Nothing that this side starts stands behind its confirmation.
void Leaving::TakeGoAway(const FrameHeader& header, std::string_view body) {
  shared_.link->StopStarting();
  shared_.frames().SendFrame({0, FrameType::kGoAwayAck, 0, 0, 0}, "");
  const absl::Status why(
      FromWireCode(header.aux == 0 ? ToWireCode(absl::StatusCode::kUnavailable) : header.aux),
      Printable::Text(body));
  shared_.parts.ender.EndAbove(header.id, why);
  if (shared_.phase.ending()) return;  // ended by one of them
  // A connection is not left before its peer's last GOAWAY has come.
  const bool named = header.id != kNoCallNamed || peer_ == Peer::kNamed;
  const Peer before = std::exchange(peer_, named ? Peer::kNamed : Peer::kAnnounced);
  if (before == Peer::kStays) shared_.host.OnGoingAway(shared_.session, why);
}

void Leaving::TakeAck() {
  if (steps_.OnAck()) shared_.host.OnGoAwayConfirmed(shared_.session);
}

void Leaving::TellIfIdle() {
  if (!shared_.phase.up() || shared_.parts.inbound.size() > 0) return;
  if (steps_.state() != GoAwaySteps::State::kTaking) {
    shared_.host.OnInboundCallsEnded(shared_.session);
  }
  if (!shared_.phase.up() || peer_ != Peer::kNamed) return;
  if (shared_.link->calls_under_way() == 0) shared_.host.OnLastCallEnded(shared_.session);
}

}  // namespace weft::native
