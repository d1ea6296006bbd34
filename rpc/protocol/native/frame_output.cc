#include "weft/rpc/protocol/native/frame_output.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/compression.h"

namespace weft::internal::native {
namespace {

void TellAll(const RoomWaits::Observers& observers) {
  for (const std::weak_ptr<RoomObserver>& each : observers) {
    if (const std::shared_ptr<RoomObserver> observer = each.lock()) observer->OnRoom();
  }
}

// Posts to the observers on the loop. The caller holds a mutex that they may take. A closed loop
// would run the task here, so the observers are not told then: their link has ended or is about to.
void PostTo(EventLoop& loop, RoomWaits::Observers observers) {
  if (observers.empty()) return;
  loop.Post([observers = std::move(observers)](TaskFate fate) {
    if (fate == TaskFate::kRun) TellAll(observers);
  });
}

}  // namespace

FrameOutput::FrameOutput(std::shared_ptr<EventLoop> loop, std::unique_ptr<Transport> transport,
                         std::string peer, std::shared_ptr<const SessionLimits> limits,
                         InputBudgets input, ConnectionEnd this_end)
    : ConnectionHandle(std::move(loop), std::move(transport), std::move(peer), std::move(input)),
      end(this_end),
      limits_(std::move(limits)),
      unchecked_(std::min(limits_->MaxOutput(), OutputBudget::kStep)) {}

absl::Status FrameOutput::CheckRoom(Side side, size_t size) {
  if (Full(size)) {
    return Errors::OutputFull(side, Errors::OwnerOf(end, side), Waiting(), size,
                              limits_->MaxOutput());
  }
  return side == Side::kClient ? output().CheckBudget(size, "client side", "the request's")
                               : output().CheckBudget(size, "server side", "the reply's");
}

absl::Status FrameOutput::Transform(Compression codec, const absl::Cord* attachment, bool of_stream,
                                    OutMessage* out, std::vector<MessagePiece>* pieces,
                                    const SerializedRequest* shared) {
  bool takes_codec;
  bool takes_attachments;
  {
    MutexLock lock(output().mutex());
    // Copied out under the mutex, so that compressing runs without it.
    takes_codec = (codec == Compression::kGzip && settings_.gzip) ||
                  (codec == Compression::kZstd && settings_.zstd);
    takes_attachments = of_stream ? settings_.stream_attachments : settings_.attachments;
  }
  out->pieces = pieces;
  const bool compress = takes_codec && Compresses(codec, out->size);
  std::vector<MessagePiece> smaller;
  if (compress && shared != nullptr) {
    if (const SerializedRequest::Form* form = shared->Compressed(codec)) smaller = form->pieces;
  } else if (compress) {
    (void)TryCompress(codec, *pieces, &smaller);
  }
  // Empty where compressing failed or gained nothing: the message is sent as it is.
  if (!smaller.empty()) {
    out->codec = codec;
    out->inflated_size = out->size;
    out->size = 0;
    for (const MessagePiece& piece : smaller) out->size += piece.size;
    *pieces = std::move(smaller);
  }
  if (attachment == nullptr || attachment->empty()) return absl::OkStatus();
  if (!takes_attachments) {
    return absl::UnimplementedError(absl::StrCat("the peer does not take attachments",
                                                 of_stream ? " beside messages of streams" : ""));
  }
  // A share of the Cord, not a copy of its bytes; it lives until the last piece is written.
  const auto keeper = std::make_shared<const absl::Cord>(*attachment);
  for (const absl::string_view chunk : keeper->Chunks()) {
    pieces->push_back({BlockRef(), chunk.data(), chunk.size()});
  }
  out->attachment_size = keeper->size();
  out->size += keeper->size();
  out->keeper = keeper;
  return absl::OkStatus();
}

absl::Status FrameOutput::CheckInitialMetadata(const Metadata& pairs) {
  const size_t size = pairs.WireSize();
  const size_t own = std::min(limits_->max_metadata_bytes, kMaxMetadata);
  if (size <= own && size <= settings_.max_metadata) return absl::OkStatus();
  return Errors::TooLarge(
      "the reply's initial metadata", size, std::min(own, settings_.max_metadata),
      size > own ? Errors::OwnSetting(end, "max_metadata_bytes", Side::kServer)
                 : Errors::PeerSetting(end, "max_metadata_bytes", Side::kServer));
}

// ---- frames

void FrameOutput::WriteWindow(uint64_t id, bool reply, size_t bytes) {
  char body[4];
  StoreWire(body, static_cast<uint32_t>(bytes));
  FrameWriter(output(), kMinFrame)
      .Plain({0, FrameType::kWindow, reply ? uint8_t{kReply} : uint8_t{0}, 0, id},
             std::string_view(body, sizeof body));
}

void FrameOutput::SendError(uint64_t id, const absl::Status& status, bool not_executed) {
  ResponseHead head;
  head.id = id;
  bool claimed;
  {
    MutexLock lock(output().mutex());
    Writer().Error(head, status, not_executed);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

void FrameOutput::SendFrame(const FrameHeader& header, std::string_view bytes) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    FrameWriter(output(), kMinFrame).Plain(header, bytes);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

void FrameOutput::SendLast(const FrameHeader* header, std::string_view bytes) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    if (header != nullptr) FrameWriter(output(), kMinFrame).Plain(*header, bytes);
    // No DATA frame may follow the last frame: the peer reads nothing behind it.
    fragments_.Clear();
    output().Seal();
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

// ---- messages in pieces

void FrameOutput::Feed(OutputQueue& queue) {
  FrameWriter writer(queue, std::max(settings_.max_frame, kMinFrame));
  fragments_.Feed(queue, writer, kFeedTo);
  if (room_awaited_ && Waiting() < kStreamRoom) {
    // Once for each AwaitRoom. A waiter that still has no room asks again.
    room_awaited_ = false;
    // A closed loop would run this task here, under the mutex that the waiter takes: do nothing
    // then.
    loop().Post([waiter = room_waiter_](TaskFate fate) {
      if (fate == TaskFate::kCancelled) return;
      if (const std::shared_ptr<RoomWaiter> told = waiter.lock()) told->OnRoom();
    });
  }
  if (!room_waits_.empty()) PostTo(loop(), room_waits_.Take(Waiting()));
  UpdateFeed();
}

void FrameOutput::UpdateFeed() {
  if (output().sealed()) {
    fragments_.Clear();
    return;
  }
  output().SetFeed(this,
                   !fragments_.empty()                     ? OutputQueue::Wants::kToSend
                   : room_awaited_ || !room_waits_.empty() ? OutputQueue::Wants::kRoom
                                                           : OutputQueue::Wants::kNothing,
                   fragments_.bytes());
}

void FrameOutput::AwaitRoom() {
  if (room_awaited_) return;
  room_awaited_ = true;
  UpdateFeed();
}

void FrameOutput::AwaitRoomFor(size_t size, std::weak_ptr<RoomObserver> observer) {
  if (!Full(size)) {  // this connection has room, but the runtime's budget has none
    loop().output_budget()->AwaitRoom(
        size, [loop = shared_loop(), observer = std::move(observer)]() mutable {
          PostTo(*loop, {std::move(observer)});
        });
    return;
  }
  // Wait for more room than this one call needs, so that waiting calls go in groups and not one by
  // one.
  const size_t most = limits_->MaxOutput();
  room_waits_.Add(std::min(most / 2, most - std::min(most, size)), std::move(observer));
  UpdateFeed();
}

void FrameOutput::Tell(RoomWaits::Observers observers) {
  if (observers.empty()) return;
  loop().Post([observers = std::move(observers)](TaskFate) { TellAll(observers); });
}

void FrameOutput::AddFragments(FragmentKey key, const PieceCursor& cursor, OutMessage& out,
                               std::vector<MessagePiece>& pieces) {
  fragments_.Add(key, {std::move(pieces), std::move(out.keeper), cursor});
  UpdateFeed();
}

void FrameOutput::SendBehind(FragmentKey key, size_t bytes, FragmentQueue::Later frame) {
  fragments_.Behind(key, bytes, std::move(frame));
  UpdateFeed();
}

void FrameOutput::DropFragments(FragmentKey key) {
  if (fragments_.empty()) return;
  fragments_.Drop(key);
  if (!room_waits_.empty()) PostTo(loop(), room_waits_.Take(Waiting()));
  UpdateFeed();
}

void FrameOutput::OwnBorrowed(uint64_t id) {
  FragmentQueue::Rest rest;
  bool out;
  {
    MutexLock lock(output().mutex());
    out = fragments_.TakeOut({id, false}, &rest);
  }
  const bool owned = output().OwnBorrowed();
  // Sized for the whole message: the rest differs from call to call, and blocks of many sizes could
  // not be used again.
  size_t whole = 0;
  for (const MessagePiece& piece : rest.pieces) whole += piece.size;
  BlockRef block = owned && out ? loop().blocks().TryGet(whole) : BlockRef();
  if (!owned || (out && !block)) {
    BreakForMemory(id);
    return;
  }
  if (!out) return;
  char* to = block->data();
  for (size_t i = rest.cursor.piece; i < rest.pieces.size(); ++i) {
    const size_t from = i == rest.cursor.piece ? rest.cursor.offset : 0;
    to = StoreBytes(to, rest.pieces[i].data + from, rest.pieces[i].size - from);
  }
  const size_t left = rest.cursor.left;
  const char* const data = block->data();
  rest.pieces.clear();
  rest.pieces.push_back({std::move(block), data, left});
  rest.cursor = {0, 0, left};
  bool claimed;
  {
    MutexLock lock(output().mutex());
    fragments_.PutBack({id, false}, std::move(rest));
    // The item was held while its bytes were copied, and the queue may have run empty meanwhile
    // without anybody to feed it.
    Feed(output());
    claimed = output().Claim();
  }
  Flush(claimed, false, true);
}

// Ends the connection: a part of a request is written, and there is no memory to keep the rest.
void FrameOutput::BreakForMemory(uint64_t id) {
  {
    MutexLock lock(output().mutex());
    DropFragments({id, false});
  }
  const bool claimed = output().Break();
  Flush(claimed, false, true);
}

bool FrameOutput::OverLimit() {
  // Refusals are sent even beyond the limit, because they are small. A peer that lets a quarter of
  // the limit and 1 MiB of them pile up does not read.
  const size_t limit = limits_->MaxOutput() + (limits_->MaxOutput() >> 2) + (size_t{1} << 20);
  // Without the mutex first: `counted` is at most one step behind.
  if (output().counted() + OutputBudget::kStep <= limit) return false;
  MutexLock lock(output().mutex());
  return Waiting() > limit;
}

}  // namespace weft::internal::native
