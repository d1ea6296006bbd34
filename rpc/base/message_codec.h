// Protobuf messages to pieces of memory for the wire. Small ones are written where they are wanted;
// large ones are cut into pieces, their big `bytes` and `string` fields by reference where the
// message is kept alive.
//
// Threads  value
// Errors   Parse says when there is no memory for what the bytes announce, Pieces and Copied when
//          there is none for what they make. A message over 2 GiB - 1 cannot be serialized:
//          ByteSize says so before anything is written
#ifndef WEFT_RPC_BASE_MESSAGE_CODEC_H_
#define WEFT_RPC_BASE_MESSAGE_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/block_pool.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {

// A run of bytes: in `block`, or, when that is empty, in the message itself.
struct MessagePiece {
  BlockRef block;
  const char* data;
  size_t size;
};

class MessageCodec {
 public:
  // Fields from this size on are referenced, not copied.
  static constexpr size_t kShareFrom = 16 << 10;
  // Of a block of 64 KiB, header included.
  static constexpr size_t kBlock = (64 << 10) - sizeof(Block);
  static constexpr size_t kMax = (size_t{1} << 31) - 1;

  // What a message's bytes came to. kNoMemory: an allocation failed that protobuf made for them.
  enum class Parsed : uint8_t { kDone, kBroken, kNoMemory };
  static Parsed Parse(const char* data, size_t size, google::protobuf::MessageLite* out);
  // Why the `what` of `size` bytes could not be parsed, as one line that begins with `where`.
  static absl::Status ParseError(Parsed parsed, std::string_view where, std::string_view what,
                                 size_t size, const google::protobuf::MessageLite& message);

  // The size on the wire; remembered in the message for WriteTo.
  static size_t ByteSize(const google::protobuf::MessageLite& message);
  // Writes exactly the bytes that ByteSize counted last.
  static char* WriteTo(const google::protobuf::MessageLite& message, char* out);
  // The same as pieces. `share`: the message outlives them, so its large fields are referenced.
  // `blocks`: where those for copied bytes come from; null: from malloc. False: there is no memory;
  // then there are no pieces.
  [[nodiscard]] static bool Pieces(const google::protobuf::MessageLite& message, size_t byte_size,
                                   bool share, std::vector<MessagePiece>* pieces,
                                   BlockPool* blocks = nullptr);
  // Of a message that is serialized already: one piece, a copy.
  [[nodiscard]] static bool Copied(std::string_view bytes, std::vector<MessagePiece>* pieces,
                                   BlockPool* blocks = nullptr);
  // Why a `what` of `size` bytes is not sent, after these have said false.
  static absl::Status NoMemory(std::string_view what, size_t size);
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_MESSAGE_CODEC_H_
