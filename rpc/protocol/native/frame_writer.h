// Writes frames into a connection's output queue. Made on the stack for each write, under the
// queue's mutex.
//
// A message that fits into one frame is serialized straight into the queue's tail block. A larger
// one comes as pieces made before the mutex was taken; frames refer to them without copying. The
// first frame goes with the head, the others when FragmentQueue asks for them.
//
// Threads  any, under the queue's mutex
// Owns     nothing
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_WRITER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/output_queue.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/protocol/native/frame_format.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal::native {

// A message to be written: bytes, a protobuf message that fits one frame, or pieces.
struct OutMessage {
  const google::protobuf::MessageLite* message =
      nullptr;             // fits into one frame; its size was computed last
  std::string_view bytes;  // serialized before
  const std::vector<MessagePiece>* pieces = nullptr;  // does not fit, or is not one run of bytes
  std::shared_ptr<const void> keeper;                 // keeps pieces held by reference alive
  size_t size = 0;                                    // with the attachment
  Compression codec = Compression::kNone;
  size_t inflated_size = 0;    // only with a codec
  size_t attachment_size = 0;  // size of the attachment at the end; only with pieces
};

// The position in a message's pieces.
struct PieceCursor {
  size_t piece = 0;
  size_t offset = 0;
  size_t left = 0;  // bytes not written yet
};

struct RequestHead {
  uint64_t id = 0;
  uint16_t method = 0;
  std::string_view method_name;  // empty: bound already
  uint64_t timeout_us = 0;
  const Metadata* metadata = nullptr;
  bool open = false;  // stream messages follow
};

struct ResponseHead {
  uint64_t id = 0;
  uint32_t handler_us = 0;
  const Metadata* metadata = nullptr;
};

struct StreamMessageHead {
  uint64_t id = 0;
  bool reply = false;  // of a call that the receiver started
  bool end = false;    // the stream's last message
};

class FrameWriter {
 public:
  // Made and used under the queue's mutex.
  FrameWriter(OutputQueue& queue, size_t max_frame) WEFT_REQUIRES(queue.mutex())
      : queue_(queue), max_frame_(max_frame) {}

  // Fixed bytes of a request frame, without the method's name, the metadata and the message.
  static constexpr size_t kMaxRequestHead = 8 + 2;

  // Bytes of metadata in a frame.
  static size_t MetadataSize(const Metadata* metadata) {
    return metadata == nullptr || metadata->empty() ? 0 : 4 + metadata->WireSize();
  }
  // Bytes of a request or response frame besides its message.
  static size_t Overhead(const RequestHead& head) {
    return 8 + (head.method_name.empty() ? 0 : 2 + head.method_name.size()) +
           MetadataSize(head.metadata);
  }
  static size_t Overhead(const ResponseHead& head) { return 4 + MetadataSize(head.metadata); }
  static size_t Overhead(const StreamMessageHead&) { return 0; }

  // Each writes a first frame and returns the rest, which goes on in DATA frames; nothing is left
  // of a message that fits.
  PieceCursor Request(const RequestHead& head, const OutMessage& message);
  PieceCursor Response(const ResponseHead& head, const OutMessage& message);
  PieceCursor StreamMessage(const StreamMessageHead& head, const OutMessage& message);
  // The next DATA frame of `message`; `reply` as in StreamMessageHead, or of a response.
  void Data(uint64_t id, bool reply, const std::vector<MessagePiece>& pieces,
            const std::shared_ptr<const void>& keeper, PieceCursor* cursor);
  // Writes a status that is not OK. Cuts its text to what one frame holds.
  void Error(const ResponseHead& head, const absl::Status& status, bool not_executed);
  // Writes a reply's initial metadata, which must fit one frame.
  void Headers(uint64_t id, const Metadata& metadata);
  // A frame of a header and some bytes.
  void Plain(const FrameHeader& header, std::string_view bytes);

 private:
  template <typename Head>
  PieceCursor WithMessage(FrameHeader header, const Head& head, const OutMessage& message)
      WEFT_REQUIRES(queue_.mutex());
  void AppendPieces(const std::vector<MessagePiece>& pieces,
                    const std::shared_ptr<const void>& keeper, size_t size, PieceCursor* cursor)
      WEFT_REQUIRES(queue_.mutex());

  OutputQueue& queue_;
  const size_t max_frame_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_WRITER_H_
