#include "weft/rpc/base/string_room.h"

#include <sys/mman.h>

#include <cstdint>
#include <string>
#include <utility>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

namespace weft::internal {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;

constexpr uintptr_t kPage = 4096;

// Asks for huge pages under a string's room. malloc's header stands before the string on its first
// page, so the range begins at the page's start, below data().
void AskForHugePages(std::string& room) {
  const auto first = reinterpret_cast<uintptr_t>(room.data()) / kPage * kPage;
  const auto end = (reinterpret_cast<uintptr_t>(room.data()) + room.capacity()) / kPage * kPage;
  ::madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // a hint only
}

bool MakeString(const FieldDescriptor& field, size_t size, Message& out) {
  std::string scratch;
  if (out.GetReflection()->GetStringReference(out, &field, &scratch).capacity() >= size) {
    return false;
  }
  std::string room;
  room.reserve(size);
  AskForHugePages(room);
  out.GetReflection()->SetString(&out, &field, std::move(room));
  return true;
}

// Finds the next large field in the message and passes over the ones before it. `left` counts down
// the fields that may still be looked at. False: there is no large field.
bool NextLarge(google::protobuf::io::CodedInputStream& in, int& left, int* number, size_t* size) {
  while (left-- > 0) {
    const uint32_t tag = in.ReadTag();
    if (tag == 0) return false;
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      // A group may hold any number of fields.
      if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_START_GROUP) return false;
      if (!WireFormatLite::SkipField(&in, tag)) return false;
      continue;
    }
    uint32_t length;
    // The length is the peer's word: it counts only as far as the bytes are really there.
    if (!in.ReadVarint32(&length) || length > static_cast<uint32_t>(in.BytesUntilLimit())) {
      return false;
    }
    if (length >= StringRoom::kFrom) {
      *number = WireFormatLite::GetTagFieldNumber(tag);
      *size = length;
      return true;
    }
    if (!in.Skip(static_cast<int>(length))) return false;
  }
  return false;
}

bool MakeIn(const char* data, size_t size, int depth, Message& out) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(data),
                                            static_cast<int>(size));
  in.PushLimit(static_cast<int>(size));
  bool made = false;
  int left = StringRoom::kMaxFields;
  int number;
  for (size_t length; NextLarge(in, left, &number, &length);) {
    const char* const bytes = data + in.CurrentPosition();
    const FieldDescriptor* const field = out.GetDescriptor()->FindFieldByNumber(number);
    // Repeated fields are left out: reserving an element here would make one element too many.
    if (field != nullptr && !field->is_repeated()) {
      if (field->type() == FieldDescriptor::TYPE_MESSAGE && depth < StringRoom::kDeepest) {
        Message& inner = *out.GetReflection()->MutableMessage(&out, field);
        MakeIn(bytes, length, depth + 1, inner);
        made = true;
      } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
        made |= MakeString(*field, length, out);
      }
    }
    if (!in.Skip(static_cast<int>(length))) break;
  }
  return made;
}

}  // namespace

bool StringRoom::Make(const char* data, size_t size, google::protobuf::MessageLite* out) {
  // Messages of the lite runtime have no descriptor, so their fields cannot be found.
  auto* const message = dynamic_cast<Message*>(out);
  return message != nullptr && MakeIn(data, size, 0, *message);
}

}  // namespace weft::internal
