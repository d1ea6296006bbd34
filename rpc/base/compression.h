// Message bytes made smaller by a named codec: gzip (RFC 1952) and zstd (RFC 8878).
//
//   message ──TryCompress──► pieces, fewer bytes than the message ──wire──► Inflate ──► message
//            └─ not smaller: it travels as it is
//
// The sender of compressed bytes also declares the message's inflated size. Inflate checks that
// size against the receiver's limit and against the largest ratio of the codec, and only then
// allocates exactly that much, so a decompression bomb costs nothing. Bytes that inflate to more or
// fewer than declared are refused. The bytes are one gzip member or one zstd frame, without a
// dictionary and with nothing behind it.
//
// InflateGate decides which messages are inflated at all.
//
// Threads  any; each thread keeps its codecs' working memory, up to 1.8 MiB, from its first use on
// Owns     nothing
// Errors   Inflate: UNIMPLEMENTED for a codec that is none, RESOURCE_EXHAUSTED over the limit,
//          INTERNAL for damaged bytes; each names the codec and the sizes
#ifndef WEFT_RPC_BASE_COMPRESSION_H_
#define WEFT_RPC_BASE_COMPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/message_limit.h"

namespace weft {

// Smaller messages travel as they are: a frame's head and the codec's own bytes eat the gain.
inline constexpr size_t kCompressFrom = 1 << 10;

// The numbers travel on the wire.
enum class Compression : uint8_t {
  kNone = 0,
  kGzip = 1,
  kZstd = 2,
};

// "none", "gzip", "zstd"; for other numbers "unknown".
std::string_view CompressionName(Compression codec);
// The codec of that name, in lower case; nothing when there is none.
std::optional<Compression> CompressionNamed(std::string_view name);
namespace internal {

// True for codecs that compress: false for kNone and for a number that is no codec.
bool IsCodec(Compression codec);

// True if a message of `size` bytes is worth compressing.
inline bool Compresses(Compression codec, size_t size) {
  return codec != Compression::kNone && size >= kCompressFrom;
}

// Compresses the bytes of `message`, one piece after the other, to blocks of its own. False, with
// `out` empty: the result would not be smaller, or the codec is none.
bool TryCompress(Compression codec, std::span<const MessagePiece> message,
                 std::vector<MessagePiece>* out);

// Inflates `bytes` to a block of exactly `size` bytes, as their sender declared; `limit` is the
// receiver's, SessionLimits::max_message_bytes.
absl::Status Inflate(Compression codec, std::string_view bytes, size_t size,
                     const MessageLimit& limit, BlockRef* out);

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_BASE_COMPRESSION_H_
