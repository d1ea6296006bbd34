// What a native link sends piece by piece, and what streams send: fragment queue, credit, and who
// waits.
#include <algorithm>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/rpc/protocol/native/native_link.h"

namespace weft::native {
namespace {

// Credit goes back when so large a share of a window has been read.
constexpr size_t kReturnShare = 4;
constexpr int64_t kMaxCredit = int64_t{1} << 31;

// For a message that does not fit into a frame, or waits behind others. False: there is no memory.
bool PiecesOf(const StreamMessage& message, size_t size, BlockPool& blocks,
              std::vector<MessagePiece>* pieces, absl::Status* why) {
  const bool made =
      message.message != nullptr
          ? MessageCodec::Pieces(*message.message, size, /*share=*/false, pieces, &blocks)
          : MessageCodec::Copied(message.bytes, pieces, &blocks);
  if (!made) *why = MessageCodec::NoMemory("a stream message", size);
  return made;
}

}  // namespace

// ---- pieces of large messages

void NativeLink::Feed(OutputQueue& queue) {
  FrameWriter writer(queue, std::max(peer_limits_.max_frame, kMinFrame));
  fragments_.Feed(queue, writer, kFeedTo);
  if (output_awaited_ && Waiting() < kStreamRoom) {
    output_awaited_ = false;
    loop().Post([self = shared_from_this(), this](TaskFate) { TellWaiting(); });
  }
  UpdateFeed();
}

void NativeLink::UpdateFeed() {
  if (output().sealed()) {
    fragments_.Clear();
    return;
  }
  output().SetFeed(this,
                   !fragments_.empty() ? OutputQueue::Wants::kToSend
                   : output_awaited_   ? OutputQueue::Wants::kRoom
                                       : OutputQueue::Wants::kNothing,
                   fragments_.bytes());
}

void NativeLink::AddFragments(uint64_t id, bool reply, const PieceCursor& cursor, OutMessage& out,
                              std::vector<MessagePiece>& pieces) {
  fragments_.Add({id, reply}, {std::move(pieces), std::move(out.keeper), cursor});
  UpdateFeed();
}

// What the kernel did not take of the caller's own bytes is copied; without the mutex, for they may
// be many.
void NativeLink::OwnBorrowed(uint64_t id) {
  FragmentQueue::Rest rest;
  bool out;
  {
    MutexLock lock(output().mutex());
    out = fragments_.TakeOut({id, false}, &rest);
  }
  const bool owned = output().OwnBorrowed();
  // As large as for all of it: what is left differs from call to call, and so would the block.
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
    Feed(output());
    claimed = output().Claim();
  }
  Flush(claimed, false, true);
}

// A part of a request is written, and there is no memory to keep the rest: the connection ends.
void NativeLink::BreakForMemory(uint64_t id) {
  {
    MutexLock lock(output().mutex());
    DropFragments({id, false});
  }
  const bool claimed = output().Break();
  Flush(claimed, false, true);
}

absl::Status NativeLink::Transform(Compression codec, const absl::Cord* attachment, bool of_stream,
                                   OutMessage* out, std::vector<MessagePiece>* pieces,
                                   const SerializedRequest* shared) {
  bool takes_codec;
  bool takes_attachments;
  {
    MutexLock lock(output().mutex());
    takes_codec = (codec == Compression::kGzip && peer_limits_.gzip) ||
                  (codec == Compression::kZstd && peer_limits_.zstd);
    takes_attachments = of_stream ? peer_limits_.stream_attachments : peer_limits_.attachments;
  }
  out->pieces = pieces;
  const bool compress = takes_codec && Compresses(codec, out->size);
  std::vector<MessagePiece> smaller;
  if (compress && shared != nullptr) {
    if (const SerializedRequest::Form* form = shared->Compressed(codec)) smaller = form->pieces;
  } else if (compress) {
    (void)TryCompress(codec, *pieces, &smaller);
  }
  if (!smaller.empty()) {
    out->codec = codec;
    out->inflated_size = out->size;
    out->size = 0;
    for (const MessagePiece& piece : smaller) out->size += piece.size;
    *pieces = std::move(smaller);
  }
  if (attachment == nullptr || attachment->empty()) return absl::OkStatus();
  if (!takes_attachments) {
    return absl::UnimplementedError(absl::StrCat(peer(), " does not take attachments",
                                                 of_stream ? " beside messages of streams" : ""));
  }
  const auto keeper = std::make_shared<const absl::Cord>(*attachment);
  for (const absl::string_view chunk : keeper->Chunks()) {
    pieces->push_back({BlockRef(), chunk.data(), chunk.size()});
  }
  out->attachment_size = keeper->size();
  out->size += keeper->size();
  out->keeper = keeper;
  return absl::OkStatus();
}

void NativeLink::ForgetOutbound(uint64_t id, OutboundCall* call) {
  if (call->stream != nullptr) LetGo(*call->stream);
  DropFragments({id, false});
}

// The stream of a call of ours: it has ended, or goes to another link.
void NativeLink::LetGo(StreamPort& port) {
  if (NativeStream::Of(port).wants_room) StopWaiting(port);
  port.slot().Release();
}

void NativeLink::StopWaiting(StreamPort& port) {
  NativeStream::Of(port).wants_room = false;
  const auto it = std::find_if(waiting_.begin(), waiting_.end(),
                               [&](const auto& waiting) { return waiting.get() == &port; });
  if (it != waiting_.end()) waiting_.erase(it);
}

bool NativeLink::Abort(InboundCall& call, const absl::Status& why) {
  const uint64_t id = call.id.load(std::memory_order_relaxed);
  {
    MutexLock lock(output().mutex());
    if (std::exchange(NativeStream::Of(*call.stream).over, true)) return false;
    call.aborted.store(true, std::memory_order_relaxed);
    DropFragments({id, true});
  }
  SendError(id, why, /*not_executed=*/false);
  return true;
}

void NativeLink::DropAnswer(uint64_t id) {
  MutexLock lock(output().mutex());
  DropFragments({id, true});
}

void NativeLink::DropFragments(FragmentKey key) {
  if (fragments_.empty()) return;
  fragments_.Drop(key);
  UpdateFeed();
}

void NativeLink::SendBehind(FragmentKey key, size_t bytes, FragmentQueue::Later frame) {
  fragments_.Behind(key, bytes, std::move(frame));
  UpdateFeed();
}

// ---- what streams send

bool NativeLink::RoomFor(const StreamPort& port) {
  const NativeStream& s = NativeStream::Of(port);
  return s.credit > 0 && credit_ > 0 && Waiting() < kStreamRoom;
}

// Its OnRoom comes when something has changed.
void NativeLink::Park(StreamPort& port) {
  AwaitOutput(port);
  if (std::exchange(NativeStream::Of(port).wants_room, true)) return;
  waiting_.push_back(port.shared_from_this());
}

// One that has credit waits for the output; one that has none, for credit.
void NativeLink::AwaitOutput(const StreamPort& port) {
  if (NativeStream::Of(port).credit <= 0 || credit_ <= 0 || output_awaited_) return;
  output_awaited_ = true;
  UpdateFeed();
}

// Those that have room, or will never have any.
void NativeLink::TellWaiting() {
  std::vector<std::shared_ptr<StreamPort>> told;
  {
    MutexLock lock(output().mutex());
    const auto waits = [this](const std::shared_ptr<StreamPort>& port) WEFT_NO_THREAD_ANALYSIS {
      if (!NativeStream::Of(*port).open || RoomFor(*port)) return false;
      AwaitOutput(*port);
      return true;
    };
    const auto first = std::stable_partition(waiting_.begin(), waiting_.end(), waits);
    told.assign(std::make_move_iterator(first), std::make_move_iterator(waiting_.end()));
    waiting_.erase(first, waiting_.end());
    for (const auto& port : told) NativeStream::Of(*port).wants_room = false;
  }
  for (const auto& port : told) port->OnRoom();
}

bool NativeLink::HasRoom(StreamPort& port) {
  MutexLock lock(output().mutex());
  if (!Sends(port)) return false;
  if (RoomFor(port)) return true;
  Park(port);
  return false;
}

StreamSent NativeLink::SendMessage(StreamPort& port, const StreamMessage& message, bool last,
                                   bool gather, absl::Status* why) {
  OutMessage out;
  std::vector<MessagePiece> pieces;
  out.size =
      message.message != nullptr ? MessageCodec::ByteSize(*message.message) : message.bytes.size();
  const bool attached = message.attachment != nullptr && !message.attachment->empty();
  const size_t own_limit = std::min(limits_->max_message_bytes, MessageCodec::kMax);
  if (out.size > own_limit) {
    *why = absl::ResourceExhaustedError(absl::StrCat("a stream message of ", out.size,
                                                     " bytes is over the limit of ", own_limit,
                                                     " (max_message_bytes of this side)"));
    return StreamSent::kRefused;
  }
  const Compression codec = port.codec().load(std::memory_order_relaxed);
  const bool compress = Compresses(codec, out.size);
  if (!compress && !attached && out.size <= kMinFrame - kHeaderSize) {
    out.message = message.message;
    out.bytes = message.bytes;
  } else if (!HasRoom(port)) {  // before it is serialized
    MutexLock lock(output().mutex());
    return Sends(port) ? StreamSent::kBlocked : StreamSent::kEnded;
  } else {
    if (!PiecesOf(message, out.size, loop().blocks(), &pieces, why)) return StreamSent::kRefused;
    out.pieces = &pieces;
    if (compress || attached) {
      *why = Transform(codec, message.attachment, /*of_stream=*/true, &out, &pieces);
      if (!why->ok()) return StreamSent::kRefused;
    }
  }
  bool claimed;
  bool large;
  {
    MutexLock lock(output().mutex());
    NativeStream& s = NativeStream::Of(port);
    if (!Sends(port)) return StreamSent::kEnded;
    if (out.size > peer_limits_.max_message) {
      *why = absl::ResourceExhaustedError(
          absl::StrCat("a stream message of ", out.size, " bytes is over the limit of ",
                       peer_limits_.max_message, " (max_message_bytes of the other side)"));
      return StreamSent::kRefused;
    }
    if (!RoomFor(port)) {
      Park(port);
      return StreamSent::kBlocked;
    }
    const bool behind = fragments_.Contains({s.id, s.reply});
    if (behind && out.pieces == nullptr) {
      const StreamMessage own{std::exchange(out.message, nullptr), std::exchange(out.bytes, {})};
      if (!PiecesOf(own, out.size, loop().blocks(), &pieces, why)) return StreamSent::kRefused;
    }
    if (s.initial_metadata != nullptr && !BeginMessages(s, why)) return StreamSent::kRefused;
    const auto cost = static_cast<int64_t>(out.size + kMessageCost);
    s.credit -= cost;
    credit_ -= cost;
    const StreamMessageHead head{s.id, s.reply, last};
    if (behind) {
      MessageBehind(head, out, pieces);
    } else {
      const PieceCursor rest = FrameWriter(output(), std::max(peer_limits_.max_frame, kMinFrame))
                                   .StreamMessage(head, out);
      if (rest.left > 0) AddFragments(s.id, s.reply, rest, out, pieces);
    }
    if (last) s.open = false;
    large = output().queued() >= kStreamRoom / 2;
    claimed = output().Claim();
  }
  Flush(claimed, gather || loop().InLoop(), large);
  return StreamSent::kSent;
}

// A message whose stream still has one in the fragment queue.
void NativeLink::MessageBehind(const StreamMessageHead& head, OutMessage& out,
                               std::vector<MessagePiece>& pieces) {
  const size_t bytes = kHeaderSize + out.size;
  SendBehind({head.id, head.reply}, bytes,
             [head, own = std::move(out),
              bytes_of = std::move(pieces)](FrameWriter& writer) mutable -> FragmentQueue::Rest {
               own.pieces = &bytes_of;
               const PieceCursor cursor = writer.StreamMessage(head, own);
               return {std::move(bytes_of), std::move(own.keeper), cursor};
             });
}

void NativeLink::SendHalfClose(StreamPort& port) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    NativeStream& s = NativeStream::Of(port);
    if (!Sends(port)) return;
    s.open = false;
    const FrameHeader header{
        0, FrameType::kMessage,
        static_cast<uint8_t>(kEnd | kNoMessage | (s.reply ? uint8_t{kReply} : uint8_t{0})), 0,
        s.id};
    if (fragments_.Contains({s.id, s.reply})) {
      SendBehind({s.id, s.reply}, kHeaderSize, [header](FrameWriter& writer) {
        writer.Plain(header, "");
        return FragmentQueue::Rest();
      });
    } else {
      FrameWriter(output(), kMinFrame).Plain(header, "");
    }
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/loop().InLoop(), false);
}

// ---- what streams receive

std::shared_ptr<StreamPort> NativeLink::StreamOf(uint64_t id, bool* call, bool* started) {
  MutexLock lock(output().mutex());
  *started = id > 0 && id < next_id_;
  OutboundCall* const found = calls_.Find(id);
  *call = found != nullptr;
  return found != nullptr ? found->stream : nullptr;
}

bool NativeLink::EverStarted(uint64_t id) {
  MutexLock lock(output().mutex());
  return id > 0 && id < next_id_;
}

void NativeLink::OpenInbound(InboundCall& call, StreamPort& port, bool sends, bool receives,
                             size_t credit) {
  port.SetLoop(shared_loop());
  {
    MutexLock lock(output().mutex());
    NativeStream& s = NativeStream::Begin(port, this, Handshake::StreamWindow(*limits_));
    s.id = call.id.load(std::memory_order_relaxed);
    s.reply = true;
    s.open = sends;
    s.credit = static_cast<int64_t>(credit);
    s.initial_metadata = &call.initial_metadata();
    s.receive_ended = !receives;
    port.Bind(
        std::shared_ptr<StreamTransport>(shared_from_this(), static_cast<StreamTransport*>(this)),
        limits_->max_message_bytes, gate_.get());
  }
  port.Opened(*this);
}

bool NativeLink::AddCredit(StreamPort& port, uint32_t bytes) {
  {
    MutexLock lock(output().mutex());
    NativeStream& s = NativeStream::Of(port);
    s.credit += bytes;
    if (s.credit > kMaxCredit) return false;
    if (!s.wants_room) return true;
    if (!RoomFor(port)) {
      AwaitOutput(port);
      return true;
    }
    StopWaiting(port);
  }
  port.OnRoom();
  return true;
}

bool NativeLink::AddConnectionCredit(uint32_t bytes) {
  bool before;
  {
    MutexLock lock(output().mutex());
    before = credit_ > 0;
    credit_ += bytes;
    if (credit_ > kMaxCredit) return false;
  }
  if (!before) TellWaiting();
  return true;
}

void NativeLink::WriteWindow(uint64_t id, bool reply, size_t bytes) {
  char body[4];
  StoreWire(body, static_cast<uint32_t>(bytes));
  FrameWriter(output(), kMinFrame)
      .Plain({0, FrameType::kWindow, reply ? uint8_t{kReply} : uint8_t{0}, 0, id},
             std::string_view(body, sizeof body));
}

void NativeLink::ReturnCredit(StreamPort& port, size_t bytes) {
  input().Remove(bytes);
  bool claimed;
  {
    MutexLock lock(output().mutex());
    if (output().closed()) return;
    // A caller that waits for the end reads no more, and the server must get there all the same.
    NativeStream& s = NativeStream::Of(port);
    const bool goes_on = Carries(port) && !(s.reply && port.ended());
    if (goes_on) s.unreturned += bytes;
    if (goes_on && s.unreturned >= Handshake::StreamWindow(*limits_) / kReturnShare) {
      const size_t back = std::exchange(s.unreturned, 0);
      s.receive_credit.fetch_add(static_cast<int64_t>(back), std::memory_order_relaxed);
      WriteWindow(s.id, s.reply, back);
    }
    GiveBack(bytes);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/loop().InLoop(), false);
}

// To the connection, in shares of its window.
void NativeLink::GiveBack(size_t bytes) {
  unreturned_ += bytes;
  if (unreturned_ < Handshake::ConnectionWindow(*limits_) / kReturnShare) return;
  const size_t back = std::exchange(unreturned_, 0);
  receive_credit_.fetch_add(static_cast<int64_t>(back), std::memory_order_relaxed);
  WriteWindow(0, false, back);
}

void NativeLink::ReturnConnectionCredit(size_t bytes) {
  bool claimed;
  {
    MutexLock lock(output().mutex());
    GiveBack(bytes);
    claimed = output().Claim();
  }
  Flush(claimed, /*gather=*/true, false);
}

}  // namespace weft::native
