#include "weft/rpc/protocol/native/unfinished_messages.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/reply_reader.h"
#include "weft/rpc/protocol/native/stream_reader.h"

namespace weft::internal::native {

absl::StatusOr<Assembly*> UnfinishedMessages::Begin(uint64_t id, bool reply,
                                                    const Payload& payload) {
  if (assembly_ == nullptr) {
    // Made with the first large message: an idle connection, or one with small calls, has none.
    assembly_ = std::make_unique<Reassembler>(shared_.limits().MaxUnfinished(), blocks_,
                                              shared_.frames().input());
  }
  const Side side = reply ? Side::kClient : Side::kServer;
  return assembly_->Begin(id, reply, payload, shared_.loop.now(),
                          Errors::OwnerOf(shared_.frames().end, side));
}

void UnfinishedMessages::Drop(uint64_t id, bool reply) {
  if (empty()) return;
  const Assembly* const assembly = Find(id, reply);
  if (assembly == nullptr) return;
  // The peer has spent credit on the whole stream message, whose reader will not give it back.
  const size_t credit = assembly->stream != nullptr ? assembly->whole + kMessageCost : 0;
  // The connection may be about to read straight into this message's block.
  if (data_left_ > 0 && data_header_.has(kReply) == reply && data_header_.id == id) {
    // The block goes with the assembly. The rest of the frame is read elsewhere and skipped.
    shared_.parts.connection.ForgetDirect();
    late_piece_ = reply;
  }
  assembly_->Drop(id, reply);
  if (credit > 0) shared_.link->streams().ReturnConnectionCredit(credit);
}

void UnfinishedMessages::Stop() {
  // The connection is over. Nothing will fill the frame that was under way.
  data_left_ = 0;
  if (late_timer_ != nullptr) late_timer_->Stop();
}

// Refusals run callbacks, so the messages are cleared before the first refusal.
void UnfinishedMessages::EndAll(const absl::Status& why) {
  if (assembly_ == nullptr) return;
  const std::vector<InboundCall*> calls = assembly_->Calls();
  assembly_->Clear();
  for (InboundCall* call : calls) call->Refuse(why);
}

// ---- DATA frames

size_t UnfinishedMessages::BeginData(const FrameHeader& header) {
  const bool reply = header.has(kReply);
  const Assembly* const assembly = Find(header.id, reply);
  if (assembly != nullptr) {
    // The last piece, and only that, has no MORE.
    const bool last = header.length == assembly->missing();
    if (header.length > assembly->missing() || last == header.has(kMore)) {
      shared_.faults.Fail(CloseReason::kBadFrame, "a piece that does not fit its message");
      return 0;
    }
  } else if (reply ? !shared_.link->EverStarted(header.id)
                   : !shared_.parts.inbound.EverBegun(header.id)) {
    shared_.faults.Fail(CloseReason::kBadFrame, "a piece of a call that was never begun");
    return 0;
  }
  data_header_ = header;
  late_piece_ = false;
  data_left_ = header.length;
  return kHeaderSize;
}

size_t UnfinishedMessages::TakeData(const char* data, size_t size) {
  const size_t part = std::min<size_t>(size, data_left_);
  const bool reply = data_header_.has(kReply);
  // No assembly: its call has ended, and the bytes are skipped.
  if (Assembly* const assembly = Find(data_header_.id, reply)) {
    const absl::Status s = assembly_->Add(*assembly, data, part, shared_.loop.now());
    if (!s.ok()) End(data_header_.id, reply, s);
  }
  data_left_ -= static_cast<uint32_t>(part);
  if (data_left_ == 0) EndData();
  return part;
}

void UnfinishedMessages::WantDirect(InputNeed* need) {
  const bool reply = data_header_.has(kReply);
  Assembly* const assembly = Find(data_header_.id, reply);
  if (assembly == nullptr) return;
  if (const absl::Status s = assembly_->MakeRoom(*assembly); !s.ok()) {
    End(data_header_.id, reply, s);
    return;
  }
  need->direct = assembly->end();
  need->direct_size = std::min<size_t>(data_left_, assembly->room - assembly->filled);
  // Another DATA frame follows: with its header alone read ahead, its bytes go directly to their
  // place, too.
  if (data_header_.has(kMore)) need->behind_direct = kHeaderSize;
}

void UnfinishedMessages::OnDirect(size_t direct) {
  Assembly* const assembly = Find(data_header_.id, data_header_.has(kReply));
  WEFT_DCHECK(assembly != nullptr && direct <= data_left_);
  assembly->filled += direct;
  assembly->last_piece = shared_.loop.now();
  data_left_ -= static_cast<uint32_t>(direct);
  if (data_left_ == 0) EndData();
}

void UnfinishedMessages::EndData() {
  const bool reply = data_header_.has(kReply);
  Assembly* const assembly = Find(data_header_.id, reply);
  // Counted when its piece has come whole, and once.
  if (std::exchange(late_piece_, false)) shared_.host.CountLateReply();
  if (assembly == nullptr || data_header_.has(kMore)) return;
  if (assembly->stream != nullptr) {
    FinishStreamMessage(*assembly);
  } else if (reply) {
    FinishReply();
  } else {
    FinishRequest(*assembly);
  }
}

void UnfinishedMessages::FinishStreamMessage(Assembly& assembly) {
  const std::shared_ptr<StreamPort> port = std::move(assembly.stream);
  ReceivedMessage message = assembly.message();
  const bool last = assembly.last;
  const size_t held = assembly.whole + kMessageCost;
  assembly_->Finish(data_header_.id, data_header_.has(kReply));
  // Counted until its reader returns the credit. Cannot be refused: the bytes are here.
  shared_.frames().input().Add(held);
  shared_.parts.streams.Deliver(*port, std::move(message), last);
}

void UnfinishedMessages::FinishReply() {
  // Earlier replies complete first; one of them may end the session.
  shared_.parts.replies.Complete();
  Assembly* const assembly = Find(data_header_.id, true);
  if (assembly == nullptr || shared_.phase.ending()) return;
  // A share: Finish drops the assembly, and the callbacks read from the block.
  const BlockRef block = assembly->block;
  ResponseFrame frame;
  frame.handler_us = assembly->handler_us;
  const std::string trailers = std::move(assembly->trailers);
  frame.metadata = trailers;
  frame.payload.bytes = std::string_view(block->data(), assembly->whole);
  frame.payload.whole_size = static_cast<uint32_t>(assembly->whole);
  frame.payload.codec = static_cast<uint8_t>(assembly->codec);
  frame.payload.inflated_size = assembly->inflated_size;
  frame.payload.attachment_size = static_cast<uint32_t>(assembly->attachment_size);
  const FrameHeader header{0, FrameType::kResponse, kEnd, 0, data_header_.id};
  assembly_->Finish(header.id, true);
  shared_.parts.replies.CompleteWhole(header, frame, block);
}

void UnfinishedMessages::FinishRequest(Assembly& assembly) {
  InboundCall* const call = assembly.call;
  // Small requests are copied out of their block, which is free then.
  const size_t held = assembly.whole > InboundRequest::kSmall ? assembly.whole : 0;
  call->SetRequest(assembly.block, assembly.block->data(), assembly.whole);
  if (assembly.unusual()) {
    call->SetPayload(assembly.codec, assembly.inflated_size, assembly.attachment_size,
                     Errors::MaxMessage(shared_.limits(), shared_.frames().end, Side::kServer),
                     &shared_.link->streams().gate());
  }
  assembly_->Finish(data_header_.id, false);
  shared_.frames().input().Add(held);
  // Given back when the call returns to its pool.
  call->input_held += held;
  shared_.sink->OnCall(*call);
}

// ---- messages that stay unfinished

void UnfinishedMessages::End(uint64_t id, bool reply, const absl::Status& why) {
  const Assembly* const assembly = Find(id, reply);
  if (assembly == nullptr) return;
  InboundCall* const request = assembly->call;
  Drop(id, reply);
  if (request != nullptr) {
    request->Refuse(why);
  } else if (reply) {
    shared_.parts.ender.GiveUp(id, why);
  } else {
    shared_.parts.inbound.EndCall(id, why);
  }
}

void UnfinishedMessages::WatchForLate(MonoTime deadline) {
  const Nanos pause = ToNanos(shared_.limits().max_message_pause);
  const MonoTime by = pause > Nanos::zero() ? SaturatingAdd(shared_.loop.now(), pause) : kNever;
  const MonoTime at = std::min(deadline, by);
  if (at == kNever) return;
  if (late_timer_ == nullptr) {
    late_timer_ = std::make_unique<Timer>(shared_.loop, [this] {
      shared_.loop.AssertInLoop();
      EndLate();
    });
  }
  // One timer for all messages: it only moves to an earlier time, and EndLate finds the next.
  if (!late_timer_->armed() || late_timer_->at() > at) late_timer_->StartAt(at);
}

void UnfinishedMessages::EndLate() {
  if (shared_.phase.ending()) return;
  const MonoTime now = shared_.loop.clock().Now();
  const Nanos pause = ToNanos(shared_.limits().max_message_pause);
  // Nothing can come while reading is paused.
  const MonoTime heard =
      shared_.parts.connection.paused() ? now : shared_.parts.connection.resumed();
  MonoTime next = kNever;
  for (const Reassembler::Late& late : assembly_->FindLate(now, pause, heard, &next)) {
    EndOneLate(late, now);
    if (shared_.phase.ending()) return;
  }
  if (late_timer_ != nullptr) late_timer_->StartAt(next);
}

void UnfinishedMessages::EndOneLate(const Reassembler::Late& late, MonoTime now) {
  const Assembly* const a = Find(late.id, late.reply);
  if (a == nullptr) return;  // ended by an earlier one's end
  if (OutboundCall* const call = late.reply ? shared_.link->Find(late.id) : nullptr;
      call != nullptr && now >= call->plan().deadline) {
    shared_.parts.ender.OnCallDeadline(*call);
    return;
  }
  const absl::string_view what = a->stream != nullptr ? "stream message"
                                 : late.reply         ? "reply"
                                                      : "request";
  const std::string have = absl::StrCat(a->filled, " of its ", a->whole, " bytes had come");
  End(late.id, late.reply,
      late.expired ? absl::DeadlineExceededError(absl::StrCat(
                         "deadline passed before the request had come, not executed: ", have))
                   : absl::UnavailableError(
                         absl::StrCat("nothing more of the ", what, " came within ",
                                      absl::FormatDuration(shared_.limits().max_message_pause),
                                      " (max_message_pause): ", have)));
}

}  // namespace weft::internal::native
