// Messages that come in pieces, put together: each in one block, read straight into place.
//
// Memory is taken for what has come, not for what is announced: a block has room for at most kAhead
// times the bytes that are there, and grows as they come. A peer that has sent whole messages has
// credit for as many bytes: the next ones get their block at once, and are not copied. What is
// announced is bounded together, too, by connection.
//
// Threads  loop-only
// Owns     the blocks of unfinished messages, counted in the connection's account
// Errors   Begin, Add, MakeRoom: RESOURCE_EXHAUSTED for what is over a limit or finds no memory
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

namespace weft {
class InboundCall;
class StreamPort;
}  // namespace weft

namespace weft::native {

struct Assembly {
  BlockRef block;
  size_t whole = 0;
  size_t filled = 0;
  size_t room = 0;              // bytes of the message that the block is used for
  size_t borrowed = 0;          // of its peer's credit
  MonoTime last_piece{};        // when bytes of it came last
  InboundCall* call = nullptr;  // of a request
  uint32_t handler_us = 0;      // of a response
  std::string trailers;
  std::shared_ptr<StreamPort> stream;  // of a stream's message
  bool last = false;                   // likewise: it ends the stream
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
  // How many times the bytes that have come there may be room for.
  static constexpr size_t kAhead = 16;
  // The first room of a message of which hardly anything has come.
  static constexpr size_t kMinRoom = size_t{4} << 10;

  Reassembler(size_t max_bytes, BlockPool& blocks, InputAccount& account)
      : max_bytes_(max_bytes), blocks_(blocks), account_(account) {}
  ~Reassembler() { Clear(); }
  Reassembler(const Reassembler&) = delete;
  Reassembler& operator=(const Reassembler&) = delete;

  // The message whose first bytes `payload` has.
  absl::StatusOr<Assembly*> Begin(uint64_t id, bool reply, const Payload& payload, MonoTime now);
  // More of its bytes, at most as many as are missing.
  absl::Status Add(Assembly& a, const char* data, size_t size, MonoTime now);
  // Room behind what has come, for at least one byte.
  absl::Status MakeRoom(Assembly& a);

  // Nullptr: there is none; its pieces are dropped.
  Assembly* Find(uint64_t id, bool reply) {
    const auto it = unfinished_.find(Key(id, reply));
    return it == unfinished_.end() ? nullptr : &it->second;
  }
  bool Contains(uint64_t id, bool reply) const { return unfinished_.contains(Key(id, reply)); }
  bool empty() const { return unfinished_.empty(); }
  // It is whole, and somebody has its block.
  void Finish(uint64_t id, bool reply) { End(Key(id, reply), /*whole=*/true); }
  // It is given up.
  void Drop(uint64_t id, bool reply) { End(Key(id, reply), /*whole=*/false); }
  // Each unfinished request's call, for their end.
  template <typename F>
  void ForEachCall(F&& f) {
    for (auto& [key, assembly] : unfinished_) {
      if (assembly.call != nullptr) f(*assembly.call);
    }
  }
  void Clear();
  size_t max_bytes() const { return max_bytes_; }

  // A message that will not become whole in time.
  struct Late {
    uint64_t id;
    bool reply;
    bool expired;  // its call's deadline has come
  };
  // Those of which nothing came for `pause` (zero: never mind), where bytes could have come since
  // `heard`; and requests whose deadline has come. `*next`: when to look again.
  std::vector<Late> FindLate(MonoTime now, Nanos pause, MonoTime heard, MonoTime* next) const;

 private:
  // Numbers are the peer's and ours; the highest bit tells them apart (checked when a number is
  // taken).
  static constexpr uint64_t kReplyBit = uint64_t{1} << 63;
  static uint64_t Key(uint64_t id, bool reply) { return id | (reply ? kReplyBit : 0); }
  // The room that `filled` bytes of the message earn.
  static size_t Earned(const Assembly& a, size_t filled);
  absl::Status Grow(Assembly& a, size_t room);
  void End(uint64_t key, bool whole);

  const size_t max_bytes_;
  BlockPool& blocks_;
  InputAccount& account_;
  size_t bytes_ = 0;  // announced
  // Bytes of messages that became whole, and were not borrowed; at most max_bytes_.
  size_t credit_ = 0;
  absl::node_hash_map<uint64_t, Assembly> unfinished_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_REASSEMBLER_H_
