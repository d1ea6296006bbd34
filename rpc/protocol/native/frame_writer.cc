#include "weft/rpc/protocol/native/frame_writer.h"

#include <algorithm>
#include <string>

#include "weft/rpc/base/wire_status.h"

namespace weft::native {
namespace {

size_t MetadataSize(const Metadata* metadata) {
  return metadata == nullptr || metadata->empty() ? 0 : 4 + metadata->WireSize();
}

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

uint8_t MetadataFlag(const Metadata* metadata) {
  return metadata != nullptr && !metadata->empty() ? uint8_t{kMetadata} : uint8_t{0};
}

}  // namespace

size_t FrameWriter::Overhead(const RequestHead& head) {
  return 8 + (head.method_name.empty() ? 0 : 2 + head.method_name.size()) +
         MetadataSize(head.metadata);
}

size_t FrameWriter::Overhead(const ResponseHead& head) { return 4 + MetadataSize(head.metadata); }

void FrameWriter::Request(const RequestHead& head, const OutMessage& message) {
  queue_.mutex().AssumeHeld();
  FrameHeader header{0, FrameType::kRequest, kEnd, head.method, head.id};
  if (!head.method_name.empty()) header.flags |= kNamed;
  header.flags |= MetadataFlag(head.metadata);
  WithMessage(header, head, message);
}

void FrameWriter::Response(const ResponseHead& head, const OutMessage& message) {
  queue_.mutex().AssumeHeld();
  FrameHeader header{0, FrameType::kResponse, kEnd, 0, head.id};
  header.flags |= MetadataFlag(head.metadata);
  WithMessage(header, head, message);
}

template <typename Head>
void FrameWriter::WithMessage(FrameHeader header, const Head& head, const OutMessage& message) {
  const size_t overhead = Overhead(head);
  if (message.pieces == nullptr) {
    header.length = static_cast<uint32_t>(overhead + message.size);
    const size_t total = kHeaderSize + header.length;
    char* out = WriteHeader(queue_.Reserve(total), header);
    out = WriteSections(out, head);
    if (message.message != nullptr) {
      MessageCodec::WriteTo(*message.message, out);
    } else {
      StoreBytes(out, message.bytes.data(), message.bytes.size());
    }
    queue_.Commit(total);
    return;
  }
  const size_t first_part = std::min(message.size, max_frame_ - overhead - 4);
  const bool more = first_part < message.size;
  if (more) header.flags |= kMore;
  header.length = static_cast<uint32_t>(overhead + (more ? 4 : 0) + first_part);
  const size_t head_size = kHeaderSize + overhead + (more ? 4 : 0);
  char* out = WriteHeader(queue_.Reserve(head_size), header);
  out = WriteSections(out, head);
  if (more) StoreWire(out, static_cast<uint32_t>(message.size));
  queue_.Commit(head_size);
  const uint8_t reply = header.type == FrameType::kResponse ? uint8_t{kReply} : uint8_t{0};
  AppendPieces(FrameHeader{0, FrameType::kData, reply, 0, header.id}, first_part, message);
}

// The first `room` bytes belong to the frame that has just begun; then DATA frames.
void FrameWriter::AppendPieces(FrameHeader data_header, size_t room, const OutMessage& message) {
  size_t left = message.size;
  for (const MessagePiece& piece : *message.pieces) {
    const char* data = piece.data;
    for (size_t size = piece.size; size > 0;) {
      if (room == 0) {
        room = std::min(left, max_frame_);
        data_header.length = static_cast<uint32_t>(room);
        data_header.flags =
            static_cast<uint8_t>((data_header.flags & kReply) | (room < left ? kMore : 0));
        WriteHeader(queue_.Reserve(kHeaderSize), data_header);
        queue_.Commit(kHeaderSize);
      }
      const size_t part = std::min(size, room);
      if (piece.block) {
        queue_.AppendBlock(piece.block, data, part);
      } else {
        queue_.AppendShared(message.keeper, data, part);
      }
      data += part;
      size -= part;
      room -= part;
      left -= part;
    }
  }
}

void FrameWriter::Error(const ResponseHead& head, const absl::Status& status, bool not_executed) {
  queue_.mutex().AssumeHeld();
  FrameHeader header{0, FrameType::kResponse, kEnd, ToWireCode(status.code()), head.id};
  header.flags |= MetadataFlag(head.metadata);
  if (not_executed) header.flags |= kNotExecuted;
  const size_t room = max_frame_ - Overhead(head) - 4;
  const std::string_view text(status.message().data(), std::min(status.message().size(), room));
  std::string details = StatusDetails(status);
  if (text.size() + details.size() > room) details.clear();  // half a detail is none
  header.length = static_cast<uint32_t>(Overhead(head) + 4 + text.size() + details.size());
  const size_t total = kHeaderSize + header.length;
  char* out = WriteHeader(queue_.Reserve(total), header);
  out = WriteSections(out, head);
  out = StoreWire(out, static_cast<uint32_t>(text.size()));
  out = StoreBytes(out, text.data(), text.size());
  StoreBytes(out, details.data(), details.size());
  queue_.Commit(total);
}

void FrameWriter::Plain(const FrameHeader& header, std::string_view bytes) {
  queue_.mutex().AssumeHeld();
  FrameHeader sized = header;
  sized.length = static_cast<uint32_t>(bytes.size());
  char* out = WriteHeader(queue_.Reserve(kHeaderSize + bytes.size()), sized);
  StoreBytes(out, bytes.data(), bytes.size());
  queue_.Commit(kHeaderSize + bytes.size());
}

}  // namespace weft::native
