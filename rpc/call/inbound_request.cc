#include "weft/rpc/call/inbound_request.h"

#include <string>
#include <utility>

#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/rpc/base/message_codec.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/base/wire_status.h"

namespace weft::internal {
namespace {

absl::Status OfRequest(const absl::Status& status, std::string_view method) {
  return Annotate(status, absl::StrCat(std::string(method), ": the request"));
}

}  // namespace

void InboundRequest::SetPayload(Compression codec, uint32_t inflated_size, size_t attachment_size,
                                const MessageLimit& max_message, InflateGate* gate) {
  slow_ = true;
  codec_ = codec;
  inflated_size_ = inflated_size;
  attachment_size_ = attachment_size;
  max_message_ = max_message;
  gate_ = gate;
}

void InboundRequest::LetGoOfInput() {
  BlockRef own = BlockRef::TryNew(size_);
  if (!own) return;
  std::memcpy(own->data(), data_, size_);
  data_ = own->data();
  block_ = std::move(own);
}

void InboundRequest::ResetSlow() {
  slow_ = false;
  codec_ = Compression::kNone;
  attachment_size_ = 0;
  inflated_.reset();
  inflating_ = InflateGate::Entry();
  attachment_.Clear();
}

absl::Status InboundRequest::Parse(std::string_view method,
                                   google::protobuf::MessageLite* message) {
  if (slow_) return ParseSlow(method, message);
  const MessageCodec::Parsed parsed = MessageCodec::Parse(data_, size_, message);
  block_.reset();  // large bytes go now, not when the handler is done
  data_ = nullptr;
  if (parsed == MessageCodec::Parsed::kDone) return absl::OkStatus();
  return MessageCodec::ParseError(parsed, absl::StrCat(std::string(method), ": "), "request", size_,
                                  *message);
}

absl::Status InboundRequest::ParseSlow(std::string_view method,
                                       google::protobuf::MessageLite* message) {
  const ReceivedMessage whole{std::move(block_), data_,           size_ - attachment_size_, codec_,
                              inflated_size_,    attachment_size_};
  data_ = nullptr;
  // MessageBytes may have inflated it already, for the key of the call's order.
  const ReceivedMessage inflated{inflated_, inflated_ ? inflated_->data() : nullptr,
                                 inflated_size_};
  const absl::Status s = (inflated_ ? inflated : whole).Parse(max_message_, message, gate_);
  inflated_.reset();
  inflating_ = InflateGate::Entry();
  if (!s.ok()) return OfRequest(s, method);
  // A small request lies in this object, which serves other calls later: its attachment must be
  // copied.
  attachment_ = whole.block
                    ? whole.Attachment()
                    : absl::Cord(absl::string_view(whole.data + whole.size, attachment_size_));
  return absl::OkStatus();
}

absl::StatusOr<std::string_view> InboundRequest::MessageBytes(std::string_view method) {
  const std::string_view bytes(data_, size_ - attachment_size_);
  if (codec_ == Compression::kNone) return bytes;
  if (!inflated_) {
    absl::Status s = absl::OkStatus();
    // Counts it until the message is parsed: the inflated bytes are kept that long.
    if (gate_ != nullptr) s = gate_->Admit(codec_, bytes.size(), inflated_size_, &inflating_);
    if (s.ok()) s = Inflate(codec_, bytes, inflated_size_, max_message_, &inflated_);
    if (!s.ok()) return OfRequest(s, method);
  }
  return std::string_view(inflated_ ? inflated_->data() : "", inflated_size_);
}

}  // namespace weft::internal
