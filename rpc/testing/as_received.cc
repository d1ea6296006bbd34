#include "weft/rpc/testing/as_received.h"

#include <algorithm>

#include <google/protobuf/message_lite.h>

namespace weft::internal {

ReceivedMessage AsReceived(const google::protobuf::MessageLite& message,
                           const absl::Cord& attachment) {
  ReceivedMessage bytes;
  bytes.size = message.ByteSizeLong();
  bytes.attachment_size = attachment.size();
  bytes.block = BlockRef::New(bytes.size + bytes.attachment_size);
  bytes.data = bytes.block->data();
  message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(bytes.block->data()));
  char* to = bytes.block->data() + bytes.size;
  for (const absl::string_view chunk : attachment.Chunks()) {
    to = std::copy(chunk.begin(), chunk.end(), to);
  }
  return bytes;
}

}  // namespace weft::internal
