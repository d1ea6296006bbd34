#include "weft/rpc/base/received_message.h"

#include <google/protobuf/message_lite.h>

#include "weft/rpc/base/inflate_gate.h"
#include "weft/rpc/base/message_codec.h"

namespace weft::internal {

absl::Status ReceivedMessage::Parse(const MessageLimit& limit, google::protobuf::MessageLite* out,
                                    InflateGate* gate) const {
  const char* bytes = data;
  size_t count = size;
  InflateGate::Entry entry;  // destroyed after `inflated`, whose bytes it counts
  BlockRef inflated;
  if (codec != Compression::kNone) {
    if (gate != nullptr) {
      if (absl::Status s = gate->Admit(codec, size, inflated_size, &entry); !s.ok()) return s;
    }
    absl::Status s = Inflate(codec, std::string_view(data, size), inflated_size, limit, &inflated);
    if (!s.ok()) return s;
    bytes = inflated ? inflated->data() : "";
    count = inflated_size;
  }
  const MessageCodec::Parsed parsed = MessageCodec::Parse(bytes, count, out);
  if (parsed == MessageCodec::Parsed::kDone) return absl::OkStatus();
  return MessageCodec::ParseError(parsed, "", "message", count, *out);
}

absl::Cord ReceivedMessage::Attachment() const {
  if (attachment_size == 0) return absl::Cord();
  // The releaser holds a share of the block, so the cord may outlive this message.
  return absl::MakeCordFromExternal(absl::string_view(data + size, attachment_size),
                                    [keep = block](absl::string_view) {});
}

}  // namespace weft::internal
