// The opening of a native session: preface, Hello, verdict; and the heartbeat that was agreed in
// it.
#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {
namespace {

constexpr Nanos kLastWords = std::chrono::seconds(1);

}  // namespace

absl::Status NativeSession::Start() {
  absl::Status started = connection_.Start();
  if (!started.ok()) {
    Close(CloseReason::kBroken, started);
    return started;
  }
  handshake_timer_.StartAfter(ToNanos(options_.limits.handshake_timeout));
  if (options_.dialer) SendHello();
  return absl::OkStatus();
}

void NativeSession::SendHello() {
  {
    MutexLock lock(link_->output().mutex());
    StoreBytes(link_->output().Reserve(kPreface.size()), kPreface.data(), kPreface.size());
    link_->output().Commit(kPreface.size());
  }
  link_->SendFrame({0, FrameType::kHello, 0, 0, 0},
                   Handshake::MakeHello(options_.limits, options_.auth_token));
}

// The preface is refused at its first wrong byte, so that another protocol's client is not kept
// waiting.
size_t NativeSession::TakePreface(const char* data, size_t size) {
  const size_t have = std::min(size, kPreface.size());
  if (std::memcmp(data, kPreface.data(), have) != 0) {
    Fail(CloseReason::kWrongPreface,
         absl::StrCat("wrong preface: it begins with \"",
                      absl::CHexEscape(absl::string_view(data, std::min<size_t>(size, 16))), "\""));
    return 0;
  }
  if (have < kPreface.size()) return 0;
  phase_ = Phase::kHello;
  if (!options_.dialer) SendHello();
  return have;
}

void NativeSession::TakeHello(std::string_view body) {
  if (std::exchange(hello_taken_, true)) {
    Fail(CloseReason::kSecondHello, "a second Hello");
    return;
  }
  absl::StatusOr<Agreement> agreement = Handshake::ReadHello(body, options_.limits);
  if (!agreement.ok()) {
    Fail(absl::IsFailedPrecondition(agreement.status()) ? CloseReason::kVersion
                                                        : CloseReason::kBadFrame,
         absl::StrCat("handshake: ", std::string(agreement.status().message())));
    return;
  }
  agreement_ = *std::move(agreement);
  phase_ = Phase::kVerdict;
  handshake_timer_.Stop();
  if (agreement_.heartbeat > Nanos::zero()) heartbeat_timer_.StartAfter(agreement_.heartbeat);
  host_.Authenticate(agreement_.auth_token, peer(),
                     [this, alive = std::weak_ptr<bool>(alive_),
                      link = link_](absl::StatusOr<std::string> identity) {
                       if (link->loop().InLoop()) {
                         loop_.AssertInLoop();
                         if (!alive.expired()) TakeVerdict(std::move(identity));
                         return;
                       }
                       link->loop().Post([this, alive, link,
                                          identity = std::move(identity)](TaskFate fate) mutable {
                         if (fate == TaskFate::kCancelled) return;
                         link->loop().AssertInLoop();
                         if (!alive.expired()) TakeVerdict(std::move(identity));
                       });
                     });
}

void NativeSession::TakeVerdict(absl::StatusOr<std::string> identity) {
  if (phase_ != Phase::kVerdict) return;
  std::vector<InboundCall*> held = std::exchange(held_, {});
  if (!identity.ok()) {
    for (InboundCall* call : held) call->Refuse(identity.status());
    GoAway(identity.status());
    CloseWhenWritten(CloseReason::kUnauthenticated,
                     absl::UnavailableError(absl::StrCat(
                         "connection with ", peer(),
                         " closed: not authenticated: ", std::string(identity.status().message()))),
                     kLastWords);
    return;
  }
  phase_ = Phase::kUp;
  link_->Open(agreement_, *std::move(identity));
  // A peer that sends calls and does not read their answers is not read either, unless we wait for
  // its answers: two such sides would wait for each other.
  if (!options_.dialer) {
    connection_.PauseReadsAbove(options_.limits.max_output_bytes / 16,
                                options_.limits.max_output_bytes / 4);
  }
  host_.OnUp(*this);
  for (InboundCall* call : held) Deliver(*call);
}

// Any byte counts as life. The first silent interval asks for one, `heartbeat_misses` more end the
// connection.
void NativeSession::Heartbeat() {
  const Nanos silent_for = loop_.clock().Now() - connection_.last_read();
  if (silent_for >= agreement_.heartbeat) {
    if (silent_intervals_++ >= agreement_.heartbeat_misses) {
      Close(CloseReason::kSilent,
            absl::UnavailableError(
                absl::StrCat("connection with ", peer(), " lost: silent for ",
                             absl::FormatDuration(ToAbsl(silent_for)), " (heartbeat_interval ",
                             absl::FormatDuration(ToAbsl(agreement_.heartbeat)), ")")));
      return;
    }
    if (silent_intervals_ == 2) host_.OnSuspect(*this, true);  // the first PING was not answered
    link_->SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
    link_->output().Trim();
    heartbeat_timer_.StartAfter(agreement_.heartbeat);
    return;
  }
  heartbeat_timer_.StartAfter(agreement_.heartbeat - silent_for);
}

}  // namespace weft::native
