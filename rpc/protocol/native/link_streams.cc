#include "weft/rpc/protocol/native/link_streams.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::internal::native {
namespace {

// Makes pieces of a message that does not fit into a frame or must wait. False: no memory.
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

LinkStreams::LinkStreams(FrameOutput& frames, std::shared_ptr<InflateGate> gate)
    : frames_(frames),
      gate_(std::move(gate)),
      credit_(Handshake::StreamWindow(frames.limits()),
              Handshake::ConnectionWindow(frames.limits())) {}

void LinkStreams::SetWindow(const PeerSettings& agreement) {
  credit_.Begin(agreement.connection_window);
}

void LinkStreams::Open(const OutboundCall& call, const RequestHead& head,
                       std::shared_ptr<StreamTransport> self) {
  frames_.output().mutex().AssumeHeld();
  StreamPort& port = *call.stream;
  port.codec().store(call.plan().codec, std::memory_order_relaxed);
  NativeStream& s = NativeStream::Begin(port, this, credit_.stream_window());
  s.id = head.id;
  s.open = head.open;
  s.credit = static_cast<int64_t>(frames_.settings().stream_window);
  // A server that does not stream must not send stream messages.
  s.receive_ended = !ServerStreams(call.method.kind);
  port.Bind(std::move(self), Errors::MaxMessage(frames_.limits(), frames_.end, s.side()),
            gate_.get());
}

void LinkStreams::LetGo(StreamPort& port) {
  // A port that still waited would be told of room on a connection that is not its own any more.
  if (NativeStream::Of(port).wants_room) credit_.StopWaiting(port);
  port.slot().Release();
}

StreamCredit::Ports LinkStreams::Close() { return credit_.TakeWaiting(); }

void LinkStreams::OpenInbound(InboundCall& call, StreamPort& port, MethodKind kind,
                              std::shared_ptr<StreamTransport> self) {
  port.SetLoop(frames_.shared_loop());
  {
    MutexLock lock(frames_.output().mutex());
    NativeStream& s = NativeStream::Begin(port, this, credit_.stream_window());
    s.id = call.id.load(std::memory_order_relaxed);
    s.reply = true;
    s.open = ServerStreams(kind);
    s.credit = static_cast<int64_t>(frames_.settings().stream_window);
    s.initial_metadata = &call.initial_metadata();
    s.receive_ended = !ClientStreams(kind);
    port.Bind(std::move(self), Errors::MaxMessage(frames_.limits(), frames_.end, s.side()),
              gate_.get());
  }
  // After the mutex: a stream that is opened may send at once, which takes it.
  port.Opened(*this);
}

// ---- what streams send

bool LinkStreams::RoomFor(const StreamPort& port) {
  return credit_.Has(NativeStream::Of(port)) && frames_.Waiting() < FrameOutput::kStreamRoom;
}

// Parks the writer. Its OnRoom comes when credit or output room may have changed.
void LinkStreams::Park(StreamPort& port) {
  AwaitRoom(port);
  credit_.Park(port);
}

// A stream with credit waits for output room, a stream without credit for credit.
void LinkStreams::AwaitRoom(const StreamPort& port) {
  if (credit_.Has(NativeStream::Of(port))) frames_.AwaitRoom();
}

void LinkStreams::OnRoom() {
  StreamCredit::Ports told;
  {
    MutexLock lock(frames_.output().mutex());
    told = credit_.TakeReady([this](StreamPort& port) WEFT_NO_THREAD_ANALYSIS {
      // False takes the port out: one whose stream is closed is told, too, so that its writer sees
      // the end.
      if (!NativeStream::Of(port).open || RoomFor(port)) return false;
      AwaitRoom(port);
      return true;
    });
  }
  // Without the mutex: OnRoom sends.
  for (const auto& port : told) port->OnRoom();
}

bool LinkStreams::HasRoom(StreamPort& port) {
  MutexLock lock(frames_.output().mutex());
  if (!Sends(port)) return false;
  if (RoomFor(port)) return true;
  Park(port);
  return false;
}

StreamSent LinkStreams::Prepare(StreamPort& port, const StreamMessage& message, OutMessage* out,
                                std::vector<MessagePiece>* pieces, absl::Status* why) {
  const size_t own_limit = std::min(frames_.limits().max_message_bytes, MessageCodec::kMax);
  if (out->size > own_limit) {
    *why = Errors::TooLarge(
        "a stream message", out->size, own_limit,
        Errors::OwnSetting(frames_.end, "max_message_bytes", NativeStream::Of(port).side()));
    return StreamSent::kRefused;
  }
  const Compression codec = port.codec().load(std::memory_order_relaxed);
  const bool attached = message.attachment != nullptr && !message.attachment->empty();
  const bool changes = attached || Compresses(codec, out->size);
  // Fits into every peer's frame, so it is serialized straight into the output, under the mutex.
  if (!changes && out->size <= kMinFrame - kHeaderSize) {
    out->message = message.message;
    out->bytes = message.bytes;
    return StreamSent::kSent;
  }
  if (!HasRoom(port)) {  // serializing a large message is wasted if it cannot be sent
    MutexLock lock(frames_.output().mutex());
    return Sends(port) ? StreamSent::kBlocked : StreamSent::kEnded;
  }
  if (!PiecesOf(message, out->size, frames_.loop().blocks(), pieces, why)) {
    return StreamSent::kRefused;
  }
  out->pieces = pieces;
  if (changes) {
    *why = frames_.Transform(codec, message.attachment, /*of_stream=*/true, out, pieces);
    if (!why->ok()) return StreamSent::kRefused;
  }
  return StreamSent::kSent;
}

StreamSent LinkStreams::SendMessage(StreamPort& port, const StreamMessage& message, bool last,
                                    bool gather, absl::Status* why) {
  OutMessage out;
  std::vector<MessagePiece> pieces;
  out.size =
      message.message != nullptr ? MessageCodec::ByteSize(*message.message) : message.bytes.size();
  if (const StreamSent prepared = Prepare(port, message, &out, &pieces, why);
      prepared != StreamSent::kSent) {
    return prepared;
  }
  bool claimed;
  bool large;
  {
    MutexLock lock(frames_.output().mutex());
    NativeStream& s = NativeStream::Of(port);
    if (!Sends(port)) return StreamSent::kEnded;
    // Only here: settings() is the peer's Hello, and read under the mutex.
    if (out.size > frames_.settings().max_message) {
      *why = Errors::TooLarge(
          "a stream message", out.size, frames_.settings().max_message,
          Errors::PeerSetting(frames_.end, "max_message_bytes", NativeStream::Of(port).side()));
      return StreamSent::kRefused;
    }
    // Again: another writer may have taken the room since Prepare.
    if (!RoomFor(port)) {
      Park(port);
      return StreamSent::kBlocked;
    }
    const bool behind = frames_.Fragmented({s.id, s.reply});
    // The message must own its bytes while it waits; the caller's are valid only during this call.
    if (behind && out.pieces == nullptr) {
      const StreamMessage own{std::exchange(out.message, nullptr), std::exchange(out.bytes, {})};
      if (!PiecesOf(own, out.size, frames_.loop().blocks(), &pieces, why)) {
        return StreamSent::kRefused;
      }
    }
    if (s.initial_metadata != nullptr && !BeginMessages(s, why)) return StreamSent::kRefused;
    // The cost beside the bytes: empty messages need memory at the receiver, too.
    credit_.Spend(s, out.size + kMessageCost);
    const StreamMessageHead head{s.id, s.reply, last};
    if (behind) {
      MessageBehind(head, out, pieces);
    } else {
      const PieceCursor rest = frames_.Writer().StreamMessage(head, out);
      if (rest.left > 0) frames_.AddFragments({s.id, s.reply}, rest, out, pieces);
    }
    if (last) s.open = false;
    // Half of the room: written now, it is free again before the stream would have to wait.
    large = frames_.output().queued() >= FrameOutput::kStreamRoom / 2;
    claimed = frames_.output().Claim();
  }
  frames_.Flush(claimed, gather || frames_.loop().InLoop(), large);
  return StreamSent::kSent;
}

// Writes the initial metadata before a stream's first message. False: it is over a limit.
bool LinkStreams::BeginMessages(NativeStream& stream, absl::Status* why) {
  InitialMetadata& initial = *stream.initial_metadata;
  if (frames_.settings().initial_metadata) {
    if (!initial.sent && !initial.pairs.empty()) {
      *why = frames_.CheckInitialMetadata(initial.pairs);
      if (!why->ok()) return false;
      frames_.Writer().Headers(stream.id, initial.pairs);
    }
    initial.sent = true;
  }
  // Also where there was nothing to send: later messages need not look again.
  stream.initial_metadata = nullptr;
  return true;
}

// Queues a message behind an earlier one of its stream in the fragment queue.
void LinkStreams::MessageBehind(const StreamMessageHead& head, OutMessage& out,
                                std::vector<MessagePiece>& pieces) {
  const size_t bytes = kHeaderSize + out.size;
  frames_.SendBehind({head.id, head.reply}, bytes,
                     [head, own = std::move(out), bytes_of = std::move(pieces)](
                         FrameWriter& writer) mutable -> FragmentQueue::Rest {
                       own.pieces = &bytes_of;
                       const PieceCursor cursor = writer.StreamMessage(head, own);
                       return {std::move(bytes_of), std::move(own.keeper), cursor};
                     });
}

void LinkStreams::SendHalfClose(StreamPort& port) {
  bool claimed;
  {
    MutexLock lock(frames_.output().mutex());
    NativeStream& s = NativeStream::Of(port);
    if (!Sends(port)) return;
    s.open = false;
    const FrameHeader header{
        0, FrameType::kMessage,
        static_cast<uint8_t>(kEnd | kNoMessage | (s.reply ? uint8_t{kReply} : uint8_t{0})), 0,
        s.id};
    if (frames_.Fragmented({s.id, s.reply})) {
      // A message of this stream still goes out in pieces, and its end must come after them.
      frames_.SendBehind({s.id, s.reply}, kHeaderSize, [header](FrameWriter& writer) {
        writer.Plain(header, "");
        return FragmentQueue::Rest();
      });
    } else {
      frames_.Writer().Plain(header, "");
    }
    claimed = frames_.output().Claim();
  }
  frames_.Flush(claimed, /*gather=*/frames_.loop().InLoop(), false);
}

// ---- what streams receive

bool LinkStreams::AddCredit(StreamPort& port, uint32_t bytes) {
  {
    MutexLock lock(frames_.output().mutex());
    if (!credit_.Add(NativeStream::Of(port), bytes)) return false;
    // No writer is parked: the next one looks at the credit itself.
    if (!NativeStream::Of(port).wants_room) return true;
    if (!RoomFor(port)) {
      AwaitRoom(port);
      return true;
    }
    credit_.StopWaiting(port);
  }
  port.OnRoom();
  return true;
}

bool LinkStreams::AddConnectionCredit(uint32_t bytes) {
  bool first;
  {
    MutexLock lock(frames_.output().mutex());
    if (!credit_.AddToConnection(bytes, &first)) return false;
  }
  // Only the step from no credit to some wakes writers: while there was some, none waited for it.
  if (first) OnRoom();
  return true;
}

void LinkStreams::ReturnCredit(StreamPort& port, size_t bytes) {
  // Also when the connection has closed below: the bytes are not held any longer.
  frames_.input().Remove(bytes);
  bool claimed;
  {
    MutexLock lock(frames_.output().mutex());
    if (frames_.output().closed()) return;
    // A caller that waits for the end drops messages, but their credit still goes back to the
    // stream: the server must get to its end.
    NativeStream& s = NativeStream::Of(port);
    const bool goes_on = Carries(port) && !(s.reply && port.ended());
    const size_t back = goes_on ? credit_.ReturnToStream(s, bytes) : 0;
    if (back > 0) frames_.WriteWindow(s.id, s.reply, back);
    // The connection's credit goes back in any case: its other streams send by it.
    GiveBack(bytes);
    claimed = frames_.output().Claim();
  }
  frames_.Flush(claimed, /*gather=*/frames_.loop().InLoop(), false);
}

void LinkStreams::GiveBack(size_t bytes) {
  // Stream 0 stands for all streams together.
  if (const size_t back = credit_.Return(bytes); back > 0) frames_.WriteWindow(0, false, back);
}

void LinkStreams::ReturnConnectionCredit(size_t bytes) {
  bool claimed;
  {
    MutexLock lock(frames_.output().mutex());
    GiveBack(bytes);
    claimed = frames_.output().Claim();
  }
  frames_.Flush(claimed, /*gather=*/true, false);
}

}  // namespace weft::internal::native
