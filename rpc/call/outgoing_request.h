// The request of a call that this side started, wherever its bytes are:
//
//   kMessage ──KeepIn, ReferTo──► kBytes ──Share──► kShared
//       └──────────────────Share────────────────────►┘
//
// kMessage: the caller's message, from which a connection writes straight into its output. kBytes:
// serialized, in memory that lives as long as the call. kShared: a SerializedRequest, which can be
// sent any number of times and is compressed only once.
//
// Threads  as its call's other fields
// Owns     a share of the SerializedRequest; the message is the caller's, the bytes are its call's
// Errors   Share says when there is no memory; the request stays what it was
#ifndef WEFT_RPC_CALL_OUTGOING_REQUEST_H_
#define WEFT_RPC_CALL_OUTGOING_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/base/optimization.h"
#include "absl/status/status.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/serialized_request.h"

namespace weft::internal {

class OutgoingRequest {
 public:
  enum class Form : uint8_t { kMessage, kBytes, kShared };

  // `message` is there until the call has started, or, after SetStays, until it has ended.
  explicit OutgoingRequest(const google::protobuf::MessageLite& message) : message_(&message) {}
  OutgoingRequest(const OutgoingRequest&) = delete;
  OutgoingRequest& operator=(const OutgoingRequest&) = delete;

  Form form() const { return form_; }
  // The size of the message. For kMessage it is computed, and protobuf remembers it in the message.
  size_t Size() const {
    return form_ == Form::kMessage ? MessageCodec::ByteSize(*message_) : bytes_.size();
  }
  // INVALID_ARGUMENT if the message lacks a required field. Only until the call has started.
  absl::Status CheckComplete() const {
    if (ABSL_PREDICT_TRUE(MessageCodec::IsComplete(*message_))) return absl::OkStatus();
    return MessageCodec::Incomplete(absl::StatusCode::kInvalidArgument, "the request", *message_);
  }
  // Only for kMessage.
  const google::protobuf::MessageLite& message() const { return *message_; }
  // Only for kBytes and kShared.
  std::string_view bytes() const { return bytes_; }
  // Null for any form but kShared.
  const std::shared_ptr<const SerializedRequest>& shared() const { return shared_; }

  // The caller's message outlives the call.
  void SetStays() { stays_ = true; }
  // True if the request can be sent again.
  bool stays() const { return stays_ || form_ != Form::kMessage; }

  // Serializes the message, whose size was computed last, into `room`, which lives as long as the
  // call.
  void KeepIn(char* room, size_t size) {
    MessageCodec::WriteTo(*message_, room);
    bytes_ = std::string_view(room, size);
    form_ = Form::kBytes;
  }
  // The message is serialized already, to bytes that live as long as the call.
  void ReferTo(std::string_view bytes) {
    bytes_ = bytes;
    form_ = Form::kBytes;
  }
  [[nodiscard]] bool Share() {
    if (form_ == Form::kShared) return true;
    std::shared_ptr<const SerializedRequest> made = form_ == Form::kBytes
                                                        ? SerializedRequest::Copy(bytes_)
                                                        : SerializedRequest::Of(*message_, Size());
    if (made == nullptr) return false;
    ShareWith(std::move(made));
    return true;
  }
  // Prepares a request that will be sent more than once, so that it is neither serialized nor
  // compressed each time.
  [[nodiscard]] bool ShareToRepeat(Compression codec) {
    return (form_ == Form::kBytes && !Compresses(codec, bytes_.size())) || Share();
  }
  void ShareWith(std::shared_ptr<const SerializedRequest> shared) {
    shared_ = std::move(shared);
    bytes_ = shared_->bytes();
    form_ = Form::kShared;
  }

 private:
  const google::protobuf::MessageLite* message_;
  std::string_view bytes_;
  std::shared_ptr<const SerializedRequest> shared_;
  Form form_ = Form::kMessage;
  bool stays_ = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_OUTGOING_REQUEST_H_
