// The request of an inbound call, as it came, until the message is parsed. A small one lies inside;
// a large one stays in a block of the input, which it keeps.
//
// Threads  one at a time: the loop until the call is handed over, then its handler
// Owns     its bytes, or its share of their block
// Errors   Parse and MessageBytes: INTERNAL for bytes that are no message, and what does not let
//          them be inflated
#ifndef WEFT_RPC_CALL_INBOUND_REQUEST_H_
#define WEFT_RPC_CALL_INBOUND_REQUEST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "weft/core/block.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/inflate_gate.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class InboundRequest {
 public:
  // Requests up to this size are copied into the call, so that they keep no block of the
  // connection's input.
  static constexpr size_t kSmall = 256;

  void Set(const BlockRef& block, const char* data, size_t size) {
    size_ = size;
    if (size <= kSmall) {
      if (size > 0) std::memcpy(small_.data(), data, size);
      data_ = small_.data();
    } else {
      block_ = block;
      data_ = data;
    }
  }
  // Tells that the request is compressed, or that its last bytes are an attachment. `gate` may be
  // null.
  void SetPayload(Compression codec, uint32_t inflated_size, size_t attachment_size,
                  const MessageLimit& max_message, InflateGate* gate);
  // Copies its bytes, so that they no longer keep the block. Without memory for a copy they do.
  void LetGoOfInput();
  // Resets it for the next call.
  void Reset() {
    block_.reset();
    data_ = nullptr;
    size_ = 0;
    if (slow_) ResetSlow();
  }

  size_t size() const { return size_; }
  // The bytes that it keeps in a block of the input; 0: none.
  size_t kept_input() const { return block_ ? size_ : 0; }
  // The attachment of the parsed request.
  const absl::Cord& attachment() const { return attachment_; }

  // Parses the request, once, and lets go of its bytes. `method`: for the error.
  absl::Status Parse(std::string_view method, google::protobuf::MessageLite* message);
  // The message as it was serialized, without its attachment, inflated once where it is compressed.
  // Before Parse.
  absl::StatusOr<std::string_view> MessageBytes(std::string_view method);

 private:
  absl::Status ParseSlow(std::string_view method, google::protobuf::MessageLite* message);
  void ResetSlow();

  const char* data_ = nullptr;
  size_t size_ = 0;
  BlockRef block_;
  std::array<char, kSmall> small_;

  // Only where it is compressed or has an attachment.
  bool slow_ = false;
  Compression codec_ = Compression::kNone;
  uint32_t inflated_size_ = 0;
  size_t attachment_size_ = 0;
  MessageLimit max_message_;
  InflateGate* gate_ = nullptr;   // the origin's
  BlockRef inflated_;             // by MessageBytes
  InflateGate::Entry inflating_;  // of inflated_
  absl::Cord attachment_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_REQUEST_H_
