#include "weft/rpc/protocol/native/stream_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/call_ender.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/native_stream.h"
#include "weft/rpc/protocol/native/reply_reader.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"

namespace weft::internal::native {

// The stream of a frame; null: its call has ended. `*wrong`: there never was such a stream. The
// session may have ended when this returns.
std::shared_ptr<StreamPort> StreamReader::Find(const FrameHeader& header, bool* wrong) {
  bool live = false;
  std::shared_ptr<StreamPort> port;
  bool known;
  if (header.has(kReply)) {
    shared_.parts.replies.Complete();  // an earlier reply may end the call
    port = shared_.link->StreamOf(header.id, &live, &known);
    if (port != nullptr) port->OnTaken();
  } else {
    const InboundCall* const call = shared_.parts.inbound.Find(header.id);
    // An answered call's stream is over for its handler, though the call may still be here.
    live = call != nullptr && !call->has_answer();
    if (live) port = call->stream;
    known = shared_.parts.inbound.EverBegun(header.id);
  }
  // A call that has ended is no fault: its frames were on the way.
  *wrong = !known || (live && port == nullptr);
  return port;
}

// True if a message may come on this stream now. False: the connection was failed.
bool StreamReader::MayCome(const FrameHeader& header, StreamPort* port) {
  if (port != nullptr && NativeStream::Of(*port).receive_ended) {
    shared_.faults.Fail(CloseReason::kBadFrame, absl::StrCat("a stream message of call ", header.id,
                                                             " after the end of its stream"));
    return false;
  }
  if (!shared_.parts.unfinished.empty() &&
      shared_.parts.unfinished.Find(header.id, header.has(kReply)) != nullptr) {
    shared_.faults.Fail(CloseReason::kBadFrame, absl::StrCat("a stream message of call ", header.id,
                                                             " inside another one"));
    return false;
  }
  return true;
}

void StreamReader::TakeMessage(const BlockRef& block, const FrameHeader& header,
                               std::string_view body) {
  Payload payload;
  if (const FrameError error = FrameReader::ReadStreamMessage(header, body, &payload);
      error != FrameError::kNone) {
    shared_.faults.FailFrame(error, header);
    return;
  }
  bool wrong;
  const std::shared_ptr<StreamPort> port = Find(header, &wrong);
  if (shared_.phase.ending()) return;
  if (wrong) {
    shared_.faults.Fail(CloseReason::kBadFrame, absl::StrCat("a stream message of call ", header.id,
                                                             ", which has no stream"));
    return;
  }
  if (!MayCome(header, port.get())) return;
  // Initial metadata that comes behind this is a fault: see ReplyReader::TakeHeaders.
  if (port != nullptr) NativeStream::Of(*port).receive_begun = true;
  if (header.has(kNoMessage)) {
    if (port == nullptr) return;
    NativeStream::Of(*port).receive_ended = true;
    port->OnHalfClose();
    return;
  }
  LinkStreams& streams = shared_.link->streams();
  const size_t cost = payload.whole_size + kMessageCost;
  // Charged also for a call that has ended: the peer has spent the connection's credit on the
  // message.
  if (!streams.Charge(cost)) {
    shared_.faults.Fail(CloseReason::kBadFrame,
                        absl::StrCat("stream messages beyond the credit of the connection (",
                                     Handshake::ConnectionWindow(shared_.limits()),
                                     " bytes, connection_window_bytes)"));
    return;
  }
  if (port == nullptr) {
    // No reader will give it back, and the connection's other streams need it.
    streams.ReturnConnectionCredit(cost);
    return;
  }
  absl::Status refused = Check(*port, payload);
  if (refused.ok()) refused = Take(block, header, payload, port);
  if (refused.ok()) return;
  // The stream ends with its call, so only the connection's credit matters.
  streams.ReturnConnectionCredit(cost);
  if (header.has(kReply)) {
    shared_.parts.ender.GiveUp(header.id, refused);
  } else {
    shared_.parts.inbound.EndCall(header.id, refused);
  }
}

// Charges the stream for a message; returns why it must not be taken, or OK.
absl::Status StreamReader::Check(StreamPort& port, const Payload& payload) {
  const SessionLimits& limits = shared_.limits();
  // The limit holds for the message as its reader gets it, so a small compressed one does not pass
  // by.
  const size_t size = std::max(payload.whole_size, payload.inflated_size);
  if (!NativeStream::Of(port).Charge(payload.whole_size + kMessageCost)) {
    return absl::InternalError(
        absl::StrCat("flow-control violation: stream messages beyond the credit of the call (",
                     Handshake::StreamWindow(limits), " bytes, stream_window_bytes)"));
  }
  if (size > limits.max_message_bytes) {
    return Errors::TooLarge("a stream message", size, limits.max_message_bytes,
                            Errors::OwnSetting(shared_.frames().end, "max_message_bytes",
                                               NativeStream::Of(port).side()));
  }
  return shared_.CheckCompressed(payload);
}

// Takes a message, or the first piece of one. The session may have ended when this returns OK.
absl::Status StreamReader::Take(const BlockRef& block, const FrameHeader& header,
                                const Payload& payload, const std::shared_ptr<StreamPort>& port) {
  const bool last = header.has(kEnd);
  if (!header.has(kMore)) {
    const size_t cost = payload.whole_size + kMessageCost;
    // Given back by ReturnCredit, when the message's reader has taken it.
    if (absl::Status s = shared_.frames().input().TryAdd(cost); !s.ok()) return s;
    Deliver(
        *port,
        {block, payload.bytes.data(), payload.message_size(),
         static_cast<Compression>(payload.codec), payload.inflated_size, payload.attachment_size},
        last);
    return absl::OkStatus();
  }
  const absl::StatusOr<Assembly*> assembly =
      shared_.parts.unfinished.Begin(header.id, header.has(kReply), payload);
  if (!assembly.ok()) return assembly.status();
  (*assembly)->stream = port;
  // END stands in the first frame alone, and DATA frames have no such flag.
  (*assembly)->last = last;
  // A stream's call has a deadline of its own; only the pause between pieces is watched here.
  shared_.parts.unfinished.WatchForLate(kNever);
  return absl::OkStatus();
}

void StreamReader::Deliver(StreamPort& port, ReceivedMessage message, bool last) {
  const size_t cost = message.size + message.attachment_size + kMessageCost;
  port.Deliver(std::move(message), cost);
  if (!last) return;
  NativeStream::Of(port).receive_ended = true;
  port.OnHalfClose();
}

void StreamReader::TakeWindow(const FrameHeader& header, std::string_view body) {
  uint32_t bytes;
  if (const FrameError error = FrameReader::ReadWindow(body, &bytes); error != FrameError::kNone) {
    shared_.faults.FailFrame(error, header);
    return;
  }
  // A sum over 2 GiB could wrap, and a peer that sends it counts wrongly.
  bool possible = true;
  if (header.id == 0) {
    possible = shared_.link->streams().AddConnectionCredit(bytes);
  } else {
    bool wrong;
    const std::shared_ptr<StreamPort> port = Find(header, &wrong);
    if (shared_.phase.ending()) return;
    if (wrong) {
      shared_.faults.Fail(CloseReason::kBadFrame,
                          absl::StrCat("credit for call ", header.id, ", which has no stream"));
      return;
    }
    if (port != nullptr) possible = shared_.link->streams().AddCredit(*port, bytes);
  }
  if (!possible) {
    shared_.faults.Fail(CloseReason::kBadFrame, "more credit than there can be (2 GiB)");
  }
}

}  // namespace weft::internal::native
