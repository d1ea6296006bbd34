// Compressed bytes from the wire: a byte for the codec, four for the declared size, then the bytes.
// Bytes that inflate have the declared size, and come back from being compressed again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tests/fuzz/check.h"
#include "weft/rpc/base/compression.h"

namespace {

using weft::fuzz::Check;

constexpr size_t kLimit = 1 << 20;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 5) return 0;
  const auto codec = static_cast<weft::Compression>(data[0]);
  uint32_t declared;
  std::memcpy(&declared, data + 1, sizeof(declared));
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 5, size - 5);

  weft::internal::BlockRef message;
  const absl::Status s =
      weft::internal::Inflate(codec, bytes, declared, {kLimit, "server"}, &message);
  Check(s.ok() == static_cast<bool>(message));
  Check(!s.ok() || (declared <= kLimit && message->capacity() == declared));
  // Bytes that do not inflate serve as a message to be compressed.
  const std::string_view whole =
      s.ok() ? std::string_view(message->data(), message->capacity()) : bytes;

  std::vector<weft::internal::MessagePiece> pieces;
  // Compress two pieces, since messages come in pieces.
  const weft::internal::MessagePiece cut[] = {
      {weft::internal::BlockRef(), whole.data(), whole.size() / 2},
      {weft::internal::BlockRef(), whole.data() + whole.size() / 2,
       whole.size() - whole.size() / 2}};
  if (!weft::internal::TryCompress(codec, cut, &pieces)) {
    Check(pieces.empty());
    return 0;
  }
  std::vector<char> compressed;
  for (const weft::internal::MessagePiece& piece : pieces) {
    compressed.insert(compressed.end(), piece.data, piece.data + piece.size);
  }
  // TryCompress has refused bytes that would not become smaller.
  Check(compressed.size() < whole.size());
  weft::internal::BlockRef again;
  Check(weft::internal::Inflate(codec, std::string_view(compressed.data(), compressed.size()),
                                whole.size(), {whole.size(), "server"}, &again)
            .ok());
  Check(std::memcmp(again->data(), whole.data(), whole.size()) == 0);
  return 0;
}
