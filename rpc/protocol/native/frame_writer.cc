#include "weft/rpc/protocol/native/frame_writer.h"

#include <algorithm>
#include <string>

#include "weft/rpc/base/wire_status.h"

namespace weft::internal::native {
namespace {

char* WriteMetadata(char* out, const Metadata* metadata) {
  if (metadata == nullptr || metadata->empty()) return out;
  out = StoreWire(out, static_cast<uint32_t>(metadata->WireSize()));
  return metadata->WriteTo(out);
}

char* WriteSections(char* out, const RequestHead& head) {
  out = StoreWire(out, head.timeout_us);
  if (!head.method_name.empty()) {
    out = StoreWire(out, static_cast<uint16_t>(head.method_name.size()));
    out = StoreBytes(out, head.method_name.data(), head.method_name.size());
  }
  return WriteMetadata(out, head.metadata);
}

char* WriteSections(char* out, const ResponseHead& head) {
  out = StoreWire(out, head.handler_us);
  return WriteMetadata(out, head.metadata);
}

char* WriteSections(char* out, const StreamMessageHead&) { return out; }

// Length of an error's text when there is no memory for a longer one.
constexpr size_t kShortText = 1024;

bool IsCompressed(const OutMessage& message) { return message.codec != Compression::kNone; }

size_t PayloadOverhead(const OutMessage& message) {
  // 5: codec (1) and inflated size (4); 4: the attachment's size. As WritePayloadSections writes
  // them.
  return (IsCompressed(message) ? 5 : 0) + (message.attachment_size > 0 ? 4 : 0);
}

// Each flag announces a section that WritePayloadSections writes.
uint8_t PayloadFlags(const OutMessage& message) {
  return static_cast<uint8_t>((IsCompressed(message) ? kCompressed : 0) |
                              (message.attachment_size > 0 ? kAttachment : 0));
}

char* WritePayloadSections(char* out, const OutMessage& message) {
  if (IsCompressed(message)) {
    out = StoreWire(out, static_cast<uint8_t>(message.codec));
    out = StoreWire(out, static_cast<uint32_t>(message.inflated_size));
  }
  if (message.attachment_size > 0)
    out = StoreWire(out, static_cast<uint32_t>(message.attachment_size));
  return out;
}

uint8_t MetadataFlag(const Metadata* metadata) {
  return metadata != nullptr && !metadata->empty() ? uint8_t{kMetadata} : uint8_t{0};
}

}  // namespace

PieceCursor FrameWriter::Request(const RequestHead& head, const OutMessage& message) {
  queue_.mutex().AssumeHeld();
  // An open request is not the caller's last message: END comes with its stream's last one.
  FrameHeader header{0, FrameType::kRequest, head.open ? uint8_t{0} : uint8_t{kEnd}, head.method,
                     head.id};
  if (!head.method_name.empty()) header.flags |= kNamed;
  header.flags |= MetadataFlag(head.metadata);
  return WithMessage(header, head, message);
}

PieceCursor FrameWriter::Response(const ResponseHead& head, const OutMessage& message) {
  queue_.mutex().AssumeHeld();
  FrameHeader header{0, FrameType::kResponse, kEnd, 0, head.id};
  header.flags |= MetadataFlag(head.metadata);
  return WithMessage(header, head, message);
}

PieceCursor FrameWriter::StreamMessage(const StreamMessageHead& head, const OutMessage& message) {
  queue_.mutex().AssumeHeld();
  const uint8_t flags = static_cast<uint8_t>((head.reply ? kReply : 0) | (head.end ? kEnd : 0));
  return WithMessage(FrameHeader{0, FrameType::kMessage, flags, 0, head.id}, head, message);
}

template <typename Head>
PieceCursor FrameWriter::WithMessage(FrameHeader header, const Head& head,
                                     const OutMessage& message) {
  // Fits into one frame: serialized straight into the queue, without a copy.
  if (message.pieces == nullptr) {
    header.length = static_cast<uint32_t>(Overhead(head) + message.size);
    const size_t total = kHeaderSize + header.length;
    char* out = WriteHeader(queue_.Reserve(total), header);
    out = WriteSections(out, head);
    if (message.message != nullptr) {
      MessageCodec::WriteTo(*message.message, out);
    } else {
      StoreBytes(out, message.bytes.data(), message.bytes.size());
    }
    queue_.Commit(total);
    return PieceCursor();
  }
  header.flags |= PayloadFlags(message);
  const size_t overhead = Overhead(head) + PayloadOverhead(message);
  // 4: the whole size, which precedes a message of several frames.
  const size_t most = max_frame_ - overhead - 4;
  // When much output is queued, a message of several frames puts no bytes into its first frame.
  // Bytes not yet in the output can be dropped when the call is cancelled; queued bytes keep their
  // block.
  const bool waits = message.size > most && queue_.queued() >= OutputQueue::kFeedBelow;
  const size_t first_part = waits ? 0 : std::min(message.size, most);
  const bool more = first_part < message.size;
  if (more) header.flags |= kMore;
  header.length = static_cast<uint32_t>(overhead + (more ? 4 : 0) + first_part);
  const size_t head_size = kHeaderSize + overhead + (more ? 4 : 0);
  char* out = WriteHeader(queue_.Reserve(head_size), header);
  out = WriteSections(out, head);
  out = WritePayloadSections(out, message);
  if (more) StoreWire(out, static_cast<uint32_t>(message.size));
  queue_.Commit(head_size);
  PieceCursor cursor{0, 0, message.size};
  // Queues references to the pieces' memory, and copies nothing.
  AppendPieces(*message.pieces, message.keeper, first_part, &cursor);
  return cursor;
}

void FrameWriter::AppendPieces(const std::vector<MessagePiece>& pieces,
                               const std::shared_ptr<const void>& keeper, size_t size,
                               PieceCursor* cursor) {
  cursor->left -= size;
  while (size > 0) {
    const MessagePiece& piece = pieces[cursor->piece];
    const char* const data = piece.data + cursor->offset;
    const size_t part = std::min(size, piece.size - cursor->offset);
    // A piece without a block is borrowed from the message that `keeper` holds.
    if (piece.block) {
      queue_.AppendBlock(piece.block, data, part);
    } else {
      queue_.AppendShared(keeper, data, part);
    }
    size -= part;
    cursor->offset += part;
    if (cursor->offset == piece.size) {
      ++cursor->piece;
      cursor->offset = 0;
    }
  }
}

void FrameWriter::Data(uint64_t id, bool reply, const std::vector<MessagePiece>& pieces,
                       const std::shared_ptr<const void>& keeper, PieceCursor* cursor) {
  queue_.mutex().AssumeHeld();
  // One frame of it: frames of other calls go between this and the next one.
  const size_t part = std::min(cursor->left, max_frame_);
  const uint8_t flags =
      static_cast<uint8_t>((reply ? kReply : 0) | (part < cursor->left ? kMore : 0));
  WriteHeader(queue_.Reserve(kHeaderSize),
              {static_cast<uint32_t>(part), FrameType::kData, flags, 0, id});
  queue_.Commit(kHeaderSize);
  AppendPieces(pieces, keeper, part, cursor);
}

void FrameWriter::Error(const ResponseHead& head, const absl::Status& status, bool not_executed) {
  queue_.mutex().AssumeHeld();
  FrameHeader header{0, FrameType::kResponse, kEnd, ToWireCode(status.code()), head.id};
  header.flags |= MetadataFlag(head.metadata);
  if (not_executed) header.flags |= kNotExecuted;
  // 4: the length of the text. An error is one frame always, whatever its text.
  const size_t room = max_frame_ - Overhead(head) - 4;
  std::string_view text(status.message().data(), std::min(status.message().size(), room));
  std::string details = StatusDetails(status);
  // Details are a message, which could not be parsed if it were cut.
  if (text.size() + details.size() > room) details.clear();
  const auto total = [&] {
    return kHeaderSize + Overhead(head) + 4 + text.size() + details.size();
  };
  char* out = queue_.TryReserve(total());
  // Without memory the text is cut: the error must go out in any case.
  if (out == nullptr) {
    text = text.substr(0, kShortText);
    details.clear();
    out = queue_.Reserve(total());
  }
  header.length = static_cast<uint32_t>(total() - kHeaderSize);
  const size_t size = total();
  out = WriteHeader(out, header);
  out = WriteSections(out, head);
  out = StoreWire(out, static_cast<uint32_t>(text.size()));
  out = StoreBytes(out, text.data(), text.size());
  StoreBytes(out, details.data(), details.size());
  queue_.Commit(size);
}

void FrameWriter::Headers(uint64_t id, const Metadata& metadata) {
  queue_.mutex().AssumeHeld();
  const size_t size = metadata.WireSize();
  metadata.WriteTo(WriteHeader(queue_.Reserve(kHeaderSize + size),
                               {static_cast<uint32_t>(size), FrameType::kHeaders, 0, 0, id}));
  queue_.Commit(kHeaderSize + size);
}

void FrameWriter::Plain(const FrameHeader& header, std::string_view bytes) {
  queue_.mutex().AssumeHeld();
  FrameHeader sized = header;
  sized.length = static_cast<uint32_t>(bytes.size());
  char* out = WriteHeader(queue_.Reserve(kHeaderSize + bytes.size()), sized);
  StoreBytes(out, bytes.data(), bytes.size());
  queue_.Commit(kHeaderSize + bytes.size());
}

}  // namespace weft::internal::native
