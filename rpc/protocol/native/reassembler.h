// Puts together messages that come in pieces, each in one block that pieces are read straight into.
//
// Memory follows the bytes that came, not the size announced: a block has room for at most kAhead
// times the bytes present, and grows with them. A peer that has sent whole messages earns credit
// for as many bytes: its next messages get their blocks at once and are not copied. Announced sizes
// together are bounded for each connection.
//
// Threads  loop-only
// Owns     the blocks of unfinished messages, counted in the connection's account
// Errors   Begin, Add, MakeRoom: RESOURCE_EXHAUSTED over a limit or without memory
// Ends     Finish and Drop; the destructor gives everything back
#ifndef WEFT_RPC_PROTOCOL_NATIVE_REASSEMBLER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_REASSEMBLER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/block.h"
#include "weft/core/block_pool.h"
#include "weft/core/clock.h"
#include "weft/core/input_account.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/protocol/native/frame_reader.h"

namespace weft::internal {
class InboundCall;
class StreamPort;
}  // namespace weft::internal

namespace weft::internal::native {

struct Assembly {
  BlockRef block;
  size_t whole = 0;
  size_t filled = 0;
  size_t room = 0;              // bytes of the block in use for the message
  size_t borrowed = 0;          // credit spent on it
  MonoTime last_piece{};        // time of its last bytes
  InboundCall* call = nullptr;  // set for a request
  uint32_t handler_us = 0;      // for a response
  std::string trailers;
  std::shared_ptr<StreamPort> stream;  // set for a stream's message
  bool last = false;                   // the message ends its stream
  Compression codec = Compression::kNone;
  uint32_t inflated_size = 0;
  size_t attachment_size = 0;

  char* end() { return block->data() + filled; }
  bool unusual() const { return codec != Compression::kNone || attachment_size > 0; }
  ReceivedMessage message() const {
    return {block, block->data(), whole - attachment_size, codec, inflated_size, attachment_size};
  }
  size_t missing() const { return whole - filled; }
};

class Reassembler {
 public:
  // A block has room for at most this many times the bytes that have come.
  static constexpr size_t kAhead = 16;
  // First room of a message of which hardly anything has come.
  static constexpr size_t kMinRoom = size_t{4} << 10;

  Reassembler(size_t max_bytes, BlockPool& blocks, InputAccount& account)
      : max_bytes_(max_bytes), blocks_(blocks), account_(account) {}
  ~Reassembler() { Clear(); }
  Reassembler(const Reassembler&) = delete;
  Reassembler& operator=(const Reassembler&) = delete;

  // Begins a message with the first bytes in `payload`. `owner`: of the limit, for the text.
  absl::StatusOr<Assembly*> Begin(uint64_t id, bool reply, const Payload& payload, MonoTime now,
                                  std::string_view owner = {});
  // Adds bytes, at most as many as are missing.
  absl::Status Add(Assembly& a, const char* data, size_t size, MonoTime now);
  // Makes room for at least one byte behind those present.
  absl::Status MakeRoom(Assembly& a);

  // Nullptr: none; its pieces are dropped.
  Assembly* Find(uint64_t id, bool reply) {
    const auto it = unfinished_.find(Key(id, reply));
    return it == unfinished_.end() ? nullptr : &it->second;
  }
  bool Contains(uint64_t id, bool reply) const { return unfinished_.contains(Key(id, reply)); }
  bool empty() const { return unfinished_.empty(); }
  // Ends a whole message; somebody else holds its block.
  void Finish(uint64_t id, bool reply) { End(Key(id, reply), /*whole=*/true); }
  // Gives the message up.
  void Drop(uint64_t id, bool reply) { End(Key(id, reply), /*whole=*/false); }
  // The calls of unfinished requests, by number, to be ended.
  std::vector<InboundCall*> Calls() const;
  void Clear();
  size_t max_bytes() const { return max_bytes_; }

  // A message that will not become whole in time.
  struct Late {
    uint64_t id;
    bool reply;
    bool expired;  // its call's deadline has come
  };
  // Messages without a byte for `pause` (zero: no limit), counted from `heard` if reading began
  // again later; and requests past their deadline. `*next`: when to look again.
  std::vector<Late> FindLate(MonoTime now, Nanos pause, MonoTime heard, MonoTime* next) const;

 private:
  // The highest bit tells the peer's numbers from this side's; frames with that bit set are
  // refused.
  static constexpr uint64_t kReplyBit = uint64_t{1} << 63;
  static uint64_t Key(uint64_t id, bool reply) { return id | (reply ? kReplyBit : 0); }
  // The room earned by `filled` bytes of the message.
  static size_t Earned(const Assembly& a, size_t filled);
  absl::Status Grow(Assembly& a, size_t room);
  void End(uint64_t key, bool whole);

  const size_t max_bytes_;
  BlockPool& blocks_;
  InputAccount& account_;
  size_t bytes_ = 0;  // sum of announced sizes
  // Bytes of whole messages so far, less those spent; at most max_bytes_.
  size_t credit_ = 0;
  absl::node_hash_map<uint64_t, Assembly> unfinished_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_REASSEMBLER_H_
