// A received message: its bytes in a block, perhaps compressed, perhaps with an attachment behind.
//
// Threads  value
// Owns     a share of its block
// Errors   Parse: INTERNAL for bytes that are no such message; what its gate and Inflate say for
//          compressed ones
#ifndef WEFT_RPC_BASE_RECEIVED_MESSAGE_H_
#define WEFT_RPC_BASE_RECEIVED_MESSAGE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "weft/core/block.h"
#include "weft/rpc/base/compression.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class InflateGate;

struct ReceivedMessage {
  BlockRef block;
  const char* data = nullptr;
  size_t size = 0;  // on the wire, without the attachment that follows it
  Compression codec = Compression::kNone;
  uint32_t inflated_size = 0;
  size_t attachment_size = 0;

  // `limit`: the most inflated bytes, SessionLimits::max_message_bytes. `gate` is asked before the
  // message is inflated; null: there is no gate.
  absl::Status Parse(const MessageLimit& limit, google::protobuf::MessageLite* out,
                     InflateGate* gate = nullptr) const;
  // The bytes behind the message. They share its block and are not copied.
  absl::Cord Attachment() const;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_RECEIVED_MESSAGE_H_
