// Room for the large strings of a message that is about to be parsed, in huge pages.
//
// malloc maps a string of 32 MiB and more anew for each message and unmaps it with it. In pages of
// 4 KiB the kernel's work for them costs several times what the copy into them costs; in huge pages
// it costs less than the copy.
//
// Singular `bytes` and `string` fields get room, at the top of the message or in singular messages
// inside it. Any other message is parsed as it would be without.
//
// Threads  functions without state
// Owns     nothing: the room belongs to the strings
// Errors   Make throws std::bad_alloc where a string's memory cannot be had
#ifndef WEFT_RPC_BASE_STRING_ROOM_H_
#define WEFT_RPC_BASE_STRING_ROOM_H_

#include <cstddef>

#include "weft/core/requirements.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class StringRoom {
 public:
  // Strings from this size on get room. glibc maps an allocation anew each time above its largest
  // M_MMAP_THRESHOLD, which is this.
  static constexpr size_t kFrom = size_t{32} << 20;
  // The number of a message's fields that are looked at. More would cost a second pass over many
  // small fields.
  static constexpr int kMaxFields = 64;
  // The number of levels of nested messages that are looked at.
  static constexpr int kDeepest = 16;

  // `out` must be clear. Afterwards `out` holds strings with room but without their content, so the
  // bytes must be merged into it and not parsed anew, which would clear it. False: `out` is
  // unchanged.
  static bool Make(const char* data, size_t size, google::protobuf::MessageLite* out);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_STRING_ROOM_H_
