// Messages of a native session that do not become whole: given up, or late.
#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_session.h"

namespace weft::native {

// Nobody waits for this message any more. What still comes of it is read for nobody.
void NativeSession::DropAssembly(uint64_t id, bool reply) {
  const Assembly* const assembly = assembly_.Find(id, reply);
  if (assembly == nullptr) return;
  const size_t credit = assembly->stream != nullptr ? assembly->whole + kMessageCost : 0;
  // The connection may be about to read straight into it.
  if (data_left_ > 0 && data_header_.has(kReply) == reply && data_header_.id == id) {
    connection_.ForgetDirect();
    late_piece_ = reply;
  }
  assembly_.Drop(id, reply);
  if (credit > 0) link_->streams().ReturnConnectionCredit(credit);
}

// The call of a message that will not become whole ends.
void NativeSession::EndUnfinished(uint64_t id, bool reply, const absl::Status& why) {
  const Assembly* const assembly = assembly_.Find(id, reply);
  if (assembly == nullptr) return;
  InboundCall* const request = assembly->call;
  DropAssembly(id, reply);
  if (request != nullptr) {
    request->Refuse(why);
  } else if (reply) {
    GiveUp(id, why);
  } else if (InboundCall* const call = inbound_.Find(id);
             call != nullptr && link_->answers().Abort(*call, why)) {
    call->MarkCancelled();
  }
}

// An unfinished message has begun, whose call ends at `deadline` where that is not seen to.
void NativeSession::WatchForLate(MonoTime deadline) {
  const Nanos pause = ToNanos(limits().max_message_pause);
  const MonoTime by = pause > Nanos::zero() ? SaturatingAdd(loop_.now(), pause) : kNever;
  const MonoTime at = std::min(deadline, by);
  if (at == kNever) return;
  if (late_timer_ == nullptr) {
    late_timer_ = std::make_unique<Timer>(loop_, [this] {
      loop_.AssertInLoop();
      EndLate();
    });
  }
  if (!late_timer_->armed() || late_timer_->at() > at) late_timer_->StartAt(at);
}

void NativeSession::EndLate() {
  if (phase_ >= Phase::kEnding) return;
  const MonoTime now = loop_.clock().Now();
  const Nanos pause = ToNanos(limits().max_message_pause);
  // While reading is paused nothing can come.
  const MonoTime heard = connection_.paused() ? now : connection_.resumed();
  MonoTime next = kNever;
  for (const Reassembler::Late& late : assembly_.FindLate(now, pause, heard, &next)) {
    const Assembly* const a = assembly_.Find(late.id, late.reply);
    if (a == nullptr) continue;  // an end of those before it has ended it, too
    if (OutboundCall* const call = late.reply ? link_->Find(late.id) : nullptr;
        call != nullptr && now >= call->plan().deadline) {
      OnCallDeadline(*call);
      continue;
    }
    const absl::string_view what = a->stream != nullptr ? "stream message"
                                   : late.reply         ? "reply"
                                                        : "request";
    const std::string have = absl::StrCat(a->filled, " of its ", a->whole, " bytes had come");
    EndUnfinished(
        late.id, late.reply,
        late.expired
            ? absl::DeadlineExceededError(
                  absl::StrCat("deadline passed before the request had come, not executed: ", have))
            : absl::UnavailableError(absl::StrCat("nothing more of the ", what, " came within ",
                                                  absl::FormatDuration(limits().max_message_pause),
                                                  " (max_message_pause): ", have)));
    if (phase_ >= Phase::kEnding) return;
  }
  if (late_timer_ != nullptr) late_timer_->StartAt(next);
}

}  // namespace weft::native
