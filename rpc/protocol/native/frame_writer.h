// Writes frames into a connection's output queue, under its mutex.
//
// A message that fits into one frame is serialized straight into the queue's tail block; a larger
// one comes as pieces made before the mutex was taken and is cut into frames without copying.
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
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/metadata.h"
#include "weft/rpc/protocol/native/frame_format.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::native {

// A message on its way into frames: as bytes ready, as a protobuf message that fits, or as pieces.
struct OutMessage {
  const google::protobuf::MessageLite* message =
      nullptr;             // fits into one frame; its size was computed last
  std::string_view bytes;  // serialized before
  const std::vector<MessagePiece>* pieces = nullptr;  // does not fit
  std::shared_ptr<const void> keeper;                 // keeps the pieces that are by reference
  size_t size = 0;
};

struct RequestHead {
  uint64_t id = 0;
  uint16_t method = 0;
  std::string_view method_name;  // empty: bound already
  uint64_t timeout_us = 0;
  const Metadata* metadata = nullptr;
};

struct ResponseHead {
  uint64_t id = 0;
  uint32_t handler_us = 0;
  const Metadata* metadata = nullptr;
};

class FrameWriter {
 public:
  // Made and used under the queue's mutex.
  FrameWriter(OutputQueue& queue, size_t max_frame) WEFT_REQUIRES(queue.mutex())
      : queue_(queue), max_frame_(max_frame) {}

  // The bytes of a request or response frame besides its message.
  static size_t Overhead(const RequestHead& head);
  static size_t Overhead(const ResponseHead& head);

  void Request(const RequestHead& head, const OutMessage& message);
  void Response(const ResponseHead& head, const OutMessage& message);
  // A status that is not OK. Message and details are cut to what one frame holds.
  void Error(const ResponseHead& head, const absl::Status& status, bool not_executed);
  // A frame of a header and some bytes.
  void Plain(const FrameHeader& header, std::string_view bytes);

 private:
  template <typename Head>
  void WithMessage(FrameHeader header, const Head& head, const OutMessage& message)
      WEFT_REQUIRES(queue_.mutex());
  void AppendPieces(FrameHeader data_header, size_t first_part, const OutMessage& message)
      WEFT_REQUIRES(queue_.mutex());

  OutputQueue& queue_;
  const size_t max_frame_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_WRITER_H_
