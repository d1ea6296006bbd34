#include "weft/rpc/protocol/native/call_ender.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/named_peer.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/leaving.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"

namespace weft::internal::native {
namespace {

// True if a byte of the request may have left this process.
bool Written(FrameOutput& frames, const OutboundCall& call) {
  MutexLock lock(frames.output().mutex());
  return call.wire().position < frames.output().offered();
}

}  // namespace

void CallEnder::End(OutboundCall& call, absl::StatusCode code, std::string_view why,
                    bool may_have_been_executed) {
  CallEnd end;
  end.may_have_been_executed = may_have_been_executed;
  end.status = absl::Status(
      code, absl::StrCat("call ", std::string(call.method.full_name), ": ", AbslView(why),
                         NamedPeer::Ending("to", shared_.peer(),
                                           shared_.loop.clock().Now() - call.plan().started)));
  call.End(end);
}

void CallEnder::EndExpired(OutboundCall& call) {
  const bool written = Written(shared_.frames(), call);
  End(call, absl::StatusCode::kDeadlineExceeded,
      absl::StrCat("no reply within ", InMs(call.plan().deadline - call.plan().started),
                   written ? "; the request was sent"
                           : "; the request still waited to be sent: the peer does not read",
                   call.WhereTimeWent(shared_.loop.clock().Now(), written)),
      true);
}

void CallEnder::Cancel(uint64_t id) {
  OutboundCall* const call = shared_.link->Take(id);
  // The reply came first. The caller has it, and nothing is to be cancelled.
  if (call == nullptr) return;
  shared_.frames().SendFrame(
      {0, FrameType::kCancel, 0, ToWireCode(absl::StatusCode::kCancelled), id}, "");
  shared_.parts.unfinished.Drop(id, /*reply=*/true);
  // Reported as perhaps executed even if the request is still queued: queued bytes cannot be taken
  // back, so it goes out with the CANCEL behind it.
  End(*call, absl::StatusCode::kCancelled, "cancelled by the caller", true);
  if (shared_.parts.leaving.watched()) shared_.parts.leaving.TellIfIdle();
}

void CallEnder::OnCallDeadline(OutboundCall& expired) {
  shared_.loop.AssertInLoop();
  OutboundCall* const call = shared_.link->Take(expired.wire().id);
  if (call == nullptr) return;
  shared_.frames().SendFrame(
      {0, FrameType::kCancel, 0, ToWireCode(absl::StatusCode::kDeadlineExceeded), call->wire().id},
      "");
  shared_.parts.unfinished.Drop(call->wire().id, /*reply=*/true);
  EndExpired(*call);
  if (shared_.parts.leaving.watched()) shared_.parts.leaving.TellIfIdle();
}

void CallEnder::LookForDeadlines() {
  if (shared_.phase.is(SessionPhase::State::kEnded)) return;
  // Callers on other threads only note that there is a deadline; the wheel is the loop's own. So
  // the loop looks through the table now and then (docs/decisions/0006).
  const MonoTime next = shared_.link->ArmDeadlines(this);
  if (look_timer_ == nullptr) {
    if (next == kNever) return;
    look_timer_ = std::make_unique<Timer>(shared_.loop, [this] {
      shared_.loop.AssertInLoop();
      LookForDeadlines();
    });
  }
  look_timer_->StartAt(next);
}

void CallEnder::GiveUp(uint64_t id, const absl::Status& why) {
  OutboundCall* const call = shared_.link->Take(id);
  if (call == nullptr) return;
  shared_.frames().SendFrame({0, FrameType::kCancel, 0, ToWireCode(why.code()), id}, "");
  shared_.parts.unfinished.Drop(id, /*reply=*/true);
  End(*call, why.code(), std::string(why.message()), true);
}

void CallEnder::EndAbove(uint64_t last, const absl::Status& why) {
  for (OutboundCall* call = shared_.link->GoAway(last); call != nullptr;) {
    // Before End, which may destroy the call.
    OutboundCall* const next = call->wire().next;
    // GoAway and Close take calls from the table only: the wheel is the loop's, and not under the
    // link's mutex.
    shared_.wheel.Remove(call);
    shared_.parts.unfinished.Drop(call->wire().id, /*reply=*/true);
    End(*call, why.code(), absl::StrCat("refused, the server is going away: ", why.message()),
        false);
    call = next;
  }
  // After all calls were ended or sent elsewhere: until then ordered calls must wait (IsUnderWay).
  shared_.link->OnGivenBack();
}

void CallEnder::EndAll(const absl::Status& reason) {
  if (look_timer_ != nullptr) look_timer_->Stop();
  uint64_t written = 0;
  for (OutboundCall* call = shared_.link->Close(&written); call != nullptr;) {
    OutboundCall* const next = call->wire().next;
    shared_.wheel.Remove(call);
    const bool sent = call->wire().position < written;
    End(*call, absl::StatusCode::kUnavailable,
        absl::StrCat(std::string(reason.message()),
                     sent ? "; the request was sent and may have been executed"
                          : "; the request was not sent"),
        sent);
    call = next;
  }
}

}  // namespace weft::internal::native
