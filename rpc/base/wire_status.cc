#include "weft/rpc/base/wire_status.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "weft/core/absl_view.h"

namespace weft {

using namespace internal;

namespace {

// The tags of: message StatusDetails { repeated google.protobuf.Any details = 1; }
constexpr uint32_t kDetailTag = 1 << 3 | 2;
constexpr uint32_t kTypeUrlTag = 1 << 3 | 2;
constexpr uint32_t kValueTag = 2 << 3 | 2;

void AppendBytes(uint32_t tag, const std::string& bytes, std::string* out) {
  google::protobuf::io::StringOutputStream stream(out);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.WriteVarint32(tag);
  coded.WriteVarint32(static_cast<uint32_t>(bytes.size()));
  coded.WriteString(bytes);
}

bool ReadBytes(google::protobuf::io::CodedInputStream* in, std::string* bytes) {
  uint32_t size;
  // A size from 2 GiB on becomes negative, which ReadString refuses.
  return in->ReadVarint32(&size) && in->ReadString(bytes, static_cast<int>(size));
}

google::protobuf::io::CodedInputStream Reader(std::string_view bytes) {
  return google::protobuf::io::CodedInputStream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
}

}  // namespace

std::string StatusCodeName(absl::StatusCode code) { return absl::StatusCodeToString(code); }

std::string StatusDetails(const absl::Status& status) {
  std::string details;
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& value) {
    std::string any;
    AppendBytes(kTypeUrlTag, std::string(type_url), &any);
    AppendBytes(kValueTag, std::string(value), &any);
    AppendBytes(kDetailTag, any, &details);
  });
  return details;
}

void SetStatusDetails(std::string_view details, absl::Status* status) {
  google::protobuf::io::CodedInputStream in = Reader(details);
  std::string any, type_url, value;
  while (const uint32_t tag = in.ReadTag()) {
    // Behind a damaged entry no other one can be found; payloads before it stay.
    if (tag != kDetailTag || !ReadBytes(&in, &any)) return;
    google::protobuf::io::CodedInputStream fields = Reader(any);
    type_url.clear();
    value.clear();
    bool good = true;
    while (const uint32_t field = good ? fields.ReadTag() : 0) {
      good = (field == kTypeUrlTag && ReadBytes(&fields, &type_url)) ||
             (field == kValueTag && ReadBytes(&fields, &value));
    }
    if (good && !type_url.empty()) status->SetPayload(type_url, absl::Cord(value));
  }
}

absl::Status internal::Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return WithMessage(status, absl::StrCat(AbslView(context), ": ", status.message()));
}

absl::Status internal::WithMessage(const absl::Status& status, std::string_view message) {
  absl::Status result(status.code(), AbslView(message));
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& value) {
    result.SetPayload(type_url, value);
  });
  return result;
}

}  // namespace weft
