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

namespace google::protobuf {
class MessageLite;
}

namespace weft {

class StringRoom {
 public:
  // Of a string: the most that glibc does not map anew each time, M_MMAP_THRESHOLD at its largest.
  static constexpr size_t kFrom = size_t{32} << 20;
  // Fields of one message that are looked at, so that many small ones are not gone through twice.
  static constexpr int kMaxFields = 64;
  // Of messages in each other.
  static constexpr int kDeepest = 16;

  // `out` is clear. What it has behind this is what it would have by the bytes themselves, so they
  // are to be merged into it. False: it is as it was.
  static bool Make(const char* data, size_t size, google::protobuf::MessageLite* out);
};

}  // namespace weft

#endif  // WEFT_RPC_BASE_STRING_ROOM_H_
