// A message as it came from the wire: perhaps compressed, perhaps with an attachment behind it. It
// is parsed or refused for what is wrong with it, and what was parsed comes back from being
// compressed and received again.
//
//   input:  codec u8 | inflated size u32 | attachment size u16 | message … attachment …
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/check.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/protocol/native/hello.pb.h"

namespace {

using weft::fuzz::Check;

constexpr size_t kHead = 7, kLimit = 1 << 20;

weft::internal::ReceivedMessage Received(std::string_view bytes, std::string_view attachment) {
  weft::internal::ReceivedMessage message;
  message.block =
      weft::internal::BlockRef::New(std::max<size_t>(1, bytes.size() + attachment.size()));
  std::copy(bytes.begin(), bytes.end(), message.block->data());
  std::copy(attachment.begin(), attachment.end(), message.block->data() + bytes.size());
  message.data = message.block->data();
  message.size = bytes.size();
  message.attachment_size = attachment.size();
  return message;
}

void CheckAgain(const weft::internal::native::Hello& hello, std::string_view attachment) {
  const std::string plain = hello.SerializeAsString();
  for (const auto codec : {weft::Compression::kGzip, weft::Compression::kZstd}) {
    std::vector<weft::internal::MessagePiece> pieces;
    const weft::internal::MessagePiece whole[] = {
        {weft::internal::BlockRef(), plain.data(), plain.size()}};
    if (!weft::internal::TryCompress(codec, whole, &pieces)) continue;
    std::string bytes;
    for (const weft::internal::MessagePiece& piece : pieces) bytes.append(piece.data, piece.size);
    weft::internal::ReceivedMessage message = Received(bytes, attachment);
    message.codec = codec;
    message.inflated_size = static_cast<uint32_t>(plain.size());
    weft::internal::native::Hello again;
    Check(message.Parse({plain.size(), "server"}, &again).ok());
    Check(again.SerializeAsString() == plain);
    Check(std::string(message.Attachment()) == attachment);
    // The limit is one byte less than the message takes.
    Check(absl::IsResourceExhausted(message.Parse({plain.size() - 1, "server"}, &again)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHead) return 0;
  uint32_t inflated_size;
  uint16_t attachment_size;
  std::memcpy(&inflated_size, data + 1, sizeof(inflated_size));
  std::memcpy(&attachment_size, data + 5, sizeof(attachment_size));
  std::string_view bytes(reinterpret_cast<const char*>(data) + kHead, size - kHead);
  const std::string_view attachment =
      bytes.substr(bytes.size() - std::min<size_t>(attachment_size, bytes.size()));
  bytes.remove_suffix(attachment.size());

  weft::internal::ReceivedMessage message = Received(bytes, attachment);
  message.codec = static_cast<weft::Compression>(data[0]);
  message.inflated_size = inflated_size;
  weft::internal::native::Hello hello;
  // The input is damaged, too large, or of an unknown codec. No other code has a meaning here.
  const absl::Status status = message.Parse({kLimit, "server"}, &hello);
  Check(status.ok() || absl::IsInternal(status) || absl::IsResourceExhausted(status) ||
        absl::IsUnimplemented(status));
  // The attachment is never compressed, so it is there whatever happens to the message.
  Check(std::string(message.Attachment()) == attachment);
  if (status.ok()) CheckAgain(hello, attachment);
  return 0;
}
