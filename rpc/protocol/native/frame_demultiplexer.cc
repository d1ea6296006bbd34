#include "weft/rpc/protocol/native/frame_demultiplexer.h"

#include <algorithm>

#include "absl/base/attributes.h"
#include "weft/rpc/protocol/native/handshake_phase.h"
#include "weft/rpc/protocol/native/inbound_table.h"
#include "weft/rpc/protocol/native/leaving.h"
#include "weft/rpc/protocol/native/life_watch.h"
#include "weft/rpc/protocol/native/reply_reader.h"
#include "weft/rpc/protocol/native/stream_reader.h"
#include "weft/rpc/protocol/native/unfinished_messages.h"

namespace weft::internal::native {

FrameDemultiplexer::FrameDemultiplexer(SessionShared& shared)
    : shared_(shared),
      max_frame_(std::clamp(shared.limits().max_frame_bytes, kMinFrame, kLargestFrame)) {}

size_t FrameDemultiplexer::Take(const BlockRef& block, const char* data, size_t size,
                                InputNeed* need) {
  size_t used = 0;
  while (used < size && shared_.phase.up()) {
    // Bytes of a DATA frame have no boundary that has to be whole: each part is taken as it comes.
    const size_t taken = shared_.parts.unfinished.data_left() > 0
                             ? shared_.parts.unfinished.TakeData(data + used, size - used)
                             : TakeFrame(block, data + used, size - used, need);
    used += taken;
    if (taken == 0) break;
  }
  return used;
}

size_t FrameDemultiplexer::RoomOfHalf(size_t whole, size_t size) const {
  // A peer announces a size with a few bytes. So the room for its frame grows with what has come,
  // and before the verdict it begins smaller. 64 KiB: a frame of the usual max_frame_bytes needs no
  // growing.
  constexpr size_t kAtOnce = (size_t{64} << 10) + kHeaderSize;
  constexpr size_t kMin = size_t{1} << 10;
  return std::min(whole, std::max(shared_.phase.up() ? kAtOnce : kMin, size * 2));
}

bool FrameDemultiplexer::TakeHeader(const char* data, size_t size, FrameHeader* header,
                                    InputNeed* need) {
  if (size < kHeaderSize) {
    need->frame = kHeaderSize;
    return false;
  }
  *header = ReadHeader(data);
  // Checked before the body has come: a bad length must not make this side wait for bytes, or keep
  // them.
  const FrameError error = FrameReader::CheckHeader(*header, max_frame_);
  if (error != FrameError::kNone) shared_.faults.FailFrame(error, *header);
  return error == FrameError::kNone;
}

// Takes one frame, or the header of a DATA frame; 0: more bytes are needed.
size_t FrameDemultiplexer::TakeFrame(const BlockRef& block, const char* data, size_t size,
                                     InputNeed* need) {
  FrameHeader header;
  if (!TakeHeader(data, size, &header, need)) return 0;
  const size_t whole = kHeaderSize + header.length;
  // Fast path: nearly every frame is a whole request or response.
  if (header.type == FrameType::kRequest && size >= whole) {
    shared_.parts.inbound.TakeRequest(block, header, {data + kHeaderSize, header.length});
    return whole;
  }
  if (header.type == FrameType::kResponse && size >= whole) {
    shared_.parts.replies.TakeResponse(header, {data + kHeaderSize, header.length});
    return whole;
  }
  // DATA frames may be far larger than a read, so their bytes are taken without waiting for the
  // whole frame.
  if (header.type == FrameType::kData) return shared_.parts.unfinished.BeginData(header);
  if (size < whole) {
    need->frame = RoomOfHalf(whole, size);
    return 0;
  }
  TakeOther(block, header, {data + kHeaderSize, header.length});
  return whole;
}

// Takes a frame that is neither a request nor a response.
ABSL_ATTRIBUTE_NOINLINE void FrameDemultiplexer::TakeOther(const BlockRef& block,
                                                           const FrameHeader& header,
                                                           std::string_view body) {
  switch (header.type) {
    case FrameType::kMessage:
      shared_.parts.streams.TakeMessage(block, header, body);
      return;
    case FrameType::kHeaders:
      shared_.parts.replies.TakeHeaders(header, body);
      return;
    case FrameType::kWindow:
      shared_.parts.streams.TakeWindow(header, body);
      return;
    case FrameType::kCancel:
      shared_.parts.inbound.TakeCancel(header.id);
      return;
    case FrameType::kPing:
      TakePing(header, body);
      return;
    case FrameType::kGoAway:
      shared_.parts.replies.Complete();  // earlier replies count first, and may end the session
      if (!shared_.phase.ending()) shared_.parts.leaving.TakeGoAway(header, body);
      return;
    case FrameType::kGoAwayAck:
      shared_.parts.leaving.TakeAck();
      return;
    case FrameType::kHello:
      shared_.parts.handshake.TakeHello(body);
      return;
    default:
      shared_.faults.FailFrame(FrameError::kUnknownType, header);
  }
}

void FrameDemultiplexer::TakePing(const FrameHeader& header, std::string_view body) {
  if (header.has(kReply)) {
    shared_.parts.life.TakePong(header.id, body);
    return;
  }
  const FrameHeader pong{0, FrameType::kPing, kReply, 0, header.id};
  // Peers without the clock feature take only an empty answer.
  if (!shared_.frames().agreement().clock) {
    shared_.frames().SendFrame(pong, "");
    return;
  }
  char clock[kClockSize];
  StoreWire(clock, static_cast<uint64_t>(shared_.loop.clock().WallMicros()));
  shared_.frames().SendFrame(pong, std::string_view(clock, sizeof clock));
}

}  // namespace weft::internal::native
