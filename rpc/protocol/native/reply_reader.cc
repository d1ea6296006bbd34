#include "weft/rpc/protocol/native/reply_reader.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/rpc/base/wire_status.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/native_stream.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"

namespace weft::internal::native {
namespace {

absl::Status ReplyOverLimit(const FrameOutput& frames, size_t size) {
  return Errors::TooLarge("the reply", size, frames.limits().max_message_bytes,
                          Errors::OwnSetting(frames.end, "max_message_bytes", Side::kClient));
}

}  // namespace

void ReplyReader::TakeResponse(const FrameHeader& header, std::string_view body) {
  // Parsed in place, where it waits for the other replies of this read.
  Ready& read = ready_.emplace_back(header);
  const FrameError error = FrameReader::ReadResponse(header, body, &read.frame);
  if (error == FrameError::kNone && (header.flags & (kEnd | kMore)) == kEnd &&
      shared_.parts.unfinished.empty()) {
    // CompleteReady has room for kBatch calls on its stack.
    if (ready_.size() >= kBatch) CompleteReady();
    return;
  }
  // Not of the plain kind after all: it is taken out of the batch and looked at alone.
  const Ready reply = read;
  ready_.pop_back();
  if (error != FrameError::kNone) {
    shared_.faults.FailFrame(error, header);
    return;
  }
  if (!header.has(kEnd)) {
    shared_.faults.Fail(CloseReason::kBadFrame, "a reply that does not end its call");
    return;
  }
  if (!shared_.parts.unfinished.empty() && !MayEndNow(header)) return;
  if (!header.has(kMore)) {
    ready_.push_back(reply);
    if (ready_.size() >= kBatch) CompleteReady();
    return;
  }
  Complete();  // an earlier reply to the same call may be waiting
  if (shared_.phase.ending()) return;
  if (shared_.link->Find(header.id) == nullptr) {
    shared_.host.CountLateReply();  // its pieces are dropped
    return;
  }
  BeginMessage(header, reply.frame);
}

// Begins a reply that goes on in DATA frames.
void ReplyReader::BeginMessage(const FrameHeader& header, const ResponseFrame& frame) {
  const size_t size = std::max(frame.payload.whole_size, frame.payload.inflated_size);
  absl::Status refused;
  if (size > shared_.limits().max_message_bytes) {
    refused = ReplyOverLimit(shared_.frames(), size);
  } else if (const absl::Status s = shared_.CheckCompressed(frame.payload); !s.ok()) {
    refused = absl::Status(s.code(), absl::StrCat("the reply: ", s.message()));
  } else if (const absl::StatusOr<Assembly*> assembly =
                 shared_.parts.unfinished.Begin(header.id, true, frame.payload);
             assembly.ok()) {
    (*assembly)->handler_us = frame.handler_us;
    (*assembly)->trailers = std::string(frame.metadata);
    shared_.parts.unfinished.WatchForLate(kNever);
    return;
  } else {
    refused = assembly.status();
  }
  // The callbacks of Complete may have ended the call meanwhile.
  if (OutboundCall* const call = shared_.link->Take(header.id)) {
    shared_.parts.ender.End(*call, refused.code(), std::string(refused.message()), true);
  }
}

void ReplyReader::TakeHeaders(const FrameHeader& header, std::string_view body) {
  Complete();  // an earlier reply may end the call, or the session
  if (shared_.phase.ending()) return;
  OutboundCall* const call = shared_.link->Find(header.id);
  if (call == nullptr) {
    // A call that has ended is no fault: its metadata was on the way.
    if (!shared_.link->EverStarted(header.id)) {
      shared_.faults.Fail(
          CloseReason::kBadFrame,
          absl::StrCat("initial metadata of call ", header.id, ", which was never begun"));
    }
    return;
  }
  const std::shared_ptr<StreamPort> port = call->stream;  // a share: the callback may end the call
  if (call->wire().initial_metadata != nullptr ||
      (port != nullptr && NativeStream::Of(*port).receive_begun) ||
      (!shared_.parts.unfinished.empty() &&
       shared_.parts.unfinished.Find(header.id, true) != nullptr)) {
    shared_.faults.Fail(CloseReason::kBadFrame,
                        absl::StrCat("initial metadata of call ", header.id,
                                     " that is not the first of its reply"));
    return;
  }
  const size_t most = shared_.limits().max_metadata_bytes;
  if (body.size() > most) {
    shared_.parts.ender.GiveUp(
        header.id, Errors::TooLarge("the reply's initial metadata", body.size(), most,
                                    Errors::OwnSetting(shared_.frames().end, "max_metadata_bytes",
                                                       Side::kClient)));
    return;
  }
  if (port != nullptr) port->OnTaken();
  call->OnInitialMetadata(body);
}

bool ReplyReader::MayEndNow(const FrameHeader& header) {
  const Assembly* const unfinished = shared_.parts.unfinished.Find(header.id, true);
  if (unfinished == nullptr) return true;
  if (unfinished->stream == nullptr) {
    shared_.faults.Fail(CloseReason::kBadFrame,
                        absl::StrCat("a second reply to call ", header.id, " inside the first"));
    return false;
  }
  if (header.aux == 0) {
    shared_.faults.Fail(
        CloseReason::kBadFrame,
        absl::StrCat("a reply that is OK to call ", header.id, " inside a message of its stream"));
    return false;
  }
  // An error reply may arrive in the middle of a message.
  shared_.parts.unfinished.Drop(header.id, /*reply=*/true);
  return true;
}

// A completion may start calls, or close this session and come here again. So ready_ is emptied
// first.
void ReplyReader::CompleteReady() {
  uint64_t ids[kBatch];
  OutboundCall* calls[kBatch];
  std::vector<Ready> ready = std::move(spare_);
  ready.swap(ready_);
  for (size_t i = 0; i < ready.size(); ++i) ids[i] = ready[i].header.id;
  // All under one lock: this is why replies are gathered.
  shared_.link->TakeMany(ids, calls, ready.size());
  for (size_t i = 0; i < ready.size(); ++i) CompleteOne(calls[i], ready[i].header, ready[i].frame);
  ready.clear();
  spare_ = std::move(ready);
}

void ReplyReader::CompleteWhole(const FrameHeader& header, const ResponseFrame& frame,
                                const BlockRef& block) {
  // CompleteOne takes the bytes from `input_`, which is the read's block at other times.
  const BlockRef* const outer = std::exchange(input_, &block);
  CompleteOne(shared_.link->Take(header.id), header, frame);
  input_ = outer;
}

void ReplyReader::CompleteOne(OutboundCall* call, const FrameHeader& header,
                              const ResponseFrame& frame) {
  // The call was cancelled or ran out of time while its reply was on the way.
  if (call == nullptr) {
    shared_.host.CountLateReply();
    return;
  }
  const Payload& payload = frame.payload;
  // Nearly all replies are plain. One test for all exceptions keeps their way short.
  const bool plain = header.aux == 0 && (payload.codec | payload.attachment_size) == 0 &&
                     payload.whole_size <= shared_.limits().max_message_bytes;
  if (!plain) {
    CompleteSlow(*call, header, frame);
    return;
  }
  CallEnd end;
  end.at = shared_.loop.now();
  end.handler_time = std::chrono::microseconds(frame.handler_us);
  end.trailers = frame.metadata;
  end.reply = payload.bytes.data();
  end.reply_size = payload.bytes.size();
  call->End(end);
}

// Completes a reply that is an error, too large, or more than a message.
void ReplyReader::CompleteSlow(OutboundCall& call, const FrameHeader& header,
                               const ResponseFrame& frame) {
  CallEnd end;
  end.handler_time = std::chrono::microseconds(frame.handler_us);
  end.trailers = frame.metadata;
  if (header.aux == 0) {
    const Payload& payload = frame.payload;
    const size_t size = std::max(payload.whole_size, payload.inflated_size);
    if (size > shared_.limits().max_message_bytes) {
      const absl::Status why = ReplyOverLimit(shared_.frames(), size);
      shared_.parts.ender.End(call, why.code(), std::string(why.message()), true);
      return;
    }
    const ReceivedMessage whole{*input_,
                                payload.bytes.data(),
                                payload.message_size(),
                                static_cast<Compression>(payload.codec),
                                payload.inflated_size,
                                payload.attachment_size};
    end.whole_reply = &whole;
    end.max_message = Errors::MaxMessage(shared_.limits(), shared_.frames().end, Side::kClient);
    end.gate = &shared_.link->streams().gate();
    call.End(end);
    return;
  }
  if (header.aux == ToWireCode(absl::StatusCode::kCancelled) &&
      shared_.loop.clock().Now() >= call.plan().deadline) {
    shared_.parts.ender.EndExpired(call);  // the server noticed the deadline first
    return;
  }
  // Only the server's word rules it out.
  end.may_have_been_executed = !header.has(kNotExecuted);
  end.status = absl::Status(FromWireCode(header.aux), AbslView(frame.error_message));
  if (!frame.error_details.empty()) SetStatusDetails(frame.error_details, &end.status);
  call.End(end);
}

void ReplyReader::Trim() {
  // `= {}` would keep the memory.
  if (ready_.empty()) std::vector<Ready>().swap(ready_);
  std::vector<Ready>().swap(spare_);
}

}  // namespace weft::internal::native
