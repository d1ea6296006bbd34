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
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/block_pool.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

// A run of bytes. It lies in `block`, or, when `block` is empty, in the message itself.
struct MessagePiece {
  BlockRef block;
  const char* data;
  size_t size;
};

class MessageCodec {
 public:
  // Fields from this size on are referenced, not copied.
  static constexpr size_t kShareFrom = 16 << 10;
  // Room for bytes in a block of 64 KiB, whose header is part of the 64 KiB.
  static constexpr size_t kBlock = (64 << 10) - sizeof(Block);
  // protobuf's own limit: sizes are ints there.
  static constexpr size_t kMax = (size_t{1} << 31) - 1;

  // The outcome of parsing. kIncomplete: the bytes are such a message, without a required field.
  // kNoMemory: an allocation failed that protobuf made for the message.
  enum class Parsed : uint8_t { kDone, kBroken, kIncomplete, kNoMemory };
  static Parsed Parse(const char* data, size_t size, google::protobuf::MessageLite* out);
  // The error of a `what` of `size` bytes that could not be parsed: one line that begins with
  // `where`.
  static absl::Status ParseError(Parsed parsed, std::string_view where, std::string_view what,
                                 size_t size, const google::protobuf::MessageLite& message);

  // True if every required field (proto2) is set. Serializing does not ask: each sender of messages
  // does, once, before it sends.
  static bool IsComplete(const google::protobuf::MessageLite& message);
  // The error of a message that is not complete. It names the fields by their paths; for a message
  // of the lite runtime, which does not know them, only the type:
  // "the request lacks required fields of pkg.Type: number, part.size".
  static absl::Status Incomplete(absl::StatusCode code, std::string_view what,
                                 const google::protobuf::MessageLite& message);

  // The size on the wire. protobuf also stores it in the message, where WriteTo finds it.
  static size_t ByteSize(const google::protobuf::MessageLite& message);
  // Writes exactly the bytes that ByteSize counted last.
  static char* WriteTo(const google::protobuf::MessageLite& message, char* out);
  // Serializes to pieces. `share`: the message outlives the pieces, so its large fields are
  // referenced. `blocks`: the pool for copied bytes; null: malloc. False: there is no memory, and
  // `*pieces` is empty.
  [[nodiscard]] static bool Pieces(const google::protobuf::MessageLite& message, size_t byte_size,
                                   bool share, std::vector<MessagePiece>* pieces,
                                   BlockPool* blocks = nullptr);
  // Makes one piece with a copy of `bytes`, a message that is serialized already.
  [[nodiscard]] static bool Copied(std::string_view bytes, std::vector<MessagePiece>* pieces,
                                   BlockPool* blocks = nullptr);
  // While an object of this class lives, this thread serializes maps in the order of their keys, so
  // the bytes are the same in every process. For simulations.
  class Deterministic {
   public:
    Deterministic() : outer_(std::exchange(deterministic_, true)) {}
    ~Deterministic() { deterministic_ = outer_; }
    Deterministic(const Deterministic&) = delete;
    Deterministic& operator=(const Deterministic&) = delete;

   private:
    const bool outer_;
  };

  // The error of a `what` of `size` bytes after Pieces or Copied has returned false.
  static absl::Status NoMemory(std::string_view what, size_t size);

 private:
  // True if maps are to be written in the order of their keys.
  static bool InOrder();

  static constinit thread_local bool deterministic_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_MESSAGE_CODEC_H_
