// Messages that come in pieces, put together: each in one block of its announced size, read
// straight into place.
//
// What is announced is bounded together, so that a peer cannot have memory set aside without
// sending anything.
//
// Threads  value; the session's loop
// Owns     the blocks of unfinished messages
#ifndef WEFT_RPC_PROTOCOL_NATIVE_MESSAGE_ASSEMBLY_H_
#define WEFT_RPC_PROTOCOL_NATIVE_MESSAGE_ASSEMBLY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/node_hash_map.h"
#include "weft/core/block.h"
#include "weft/core/large_blocks.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/base/wire_bytes.h"
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
  InboundCall* call = nullptr;  // of a request
  uint32_t handler_us = 0;      // of a response
  std::string trailers;
  std::shared_ptr<StreamPort> stream;  // of a stream's message
  bool last = false;                   // likewise: it ends the stream
  Compression codec = Compression::kNone;
  uint32_t inflated_size = 0;
  size_t attachment_size = 0;
  bool abandoned = false;  // nobody waits for it: it goes with the piece that is being read

  char* end() { return block->data() + filled; }
  bool unusual() const { return codec != Compression::kNone || attachment_size > 0; }
  ReceivedMessage message() const {
    return {block, block->data(), whole - attachment_size, codec, inflated_size, attachment_size};
  }
  size_t missing() const { return whole - filled; }
  void Add(const char* data, size_t size) {
    StoreBytes(end(), data, size);
    filled += size;
  }
};

class MessageAssembly {
 public:
  MessageAssembly(size_t most_bytes, LargeBlocks& blocks)
      : most_bytes_(most_bytes), blocks_(blocks) {}

  // Nullptr when all unfinished messages together would be over the bound.
  Assembly* Begin(uint64_t id, bool reply, const Payload& payload) LOOP_ONLY {
    const size_t whole = payload.whole_size;
    if (bytes_ + whole > most_bytes_) return nullptr;
    bytes_ += whole;
    Assembly& a = unfinished_[Key(id, reply)];
    a.block = blocks_.Get(whole);
    a.whole = whole;
    a.codec = static_cast<Compression>(payload.codec);
    a.inflated_size = payload.inflated_size;
    a.attachment_size = payload.attachment_size;
    a.Add(payload.bytes.data(), payload.bytes.size());
    return &a;
  }
  // Nullptr: there is none; its pieces are dropped.
  Assembly* Find(uint64_t id, bool reply) {
    const auto it = unfinished_.find(Key(id, reply));
    return it == unfinished_.end() ? nullptr : &it->second;
  }
  bool Contains(uint64_t id, bool reply) const { return unfinished_.contains(Key(id, reply)); }
  bool empty() const { return unfinished_.empty(); }
  // Finished, or given up.
  void End(uint64_t id, bool reply) {
    const auto it = unfinished_.find(Key(id, reply));
    if (it == unfinished_.end()) return;
    bytes_ -= it->second.whole;
    unfinished_.erase(it);
  }
  // Each unfinished request's call, for their end.
  template <typename F>
  void ForEachCall(F&& f) {
    for (auto& [key, assembly] : unfinished_) {
      if (assembly.call != nullptr) f(*assembly.call);
    }
  }
  void Clear() {
    unfinished_.clear();
    bytes_ = 0;
  }
  size_t most_bytes() const { return most_bytes_; }

 private:
  // Numbers are the peer's and ours; the highest bit tells them apart (checked when a number is
  // taken).
  static uint64_t Key(uint64_t id, bool reply) { return id | (reply ? uint64_t{1} << 63 : 0); }

  const size_t most_bytes_;
  LargeBlocks& blocks_;
  size_t bytes_ = 0;
  absl::node_hash_map<uint64_t, Assembly> unfinished_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_MESSAGE_ASSEMBLY_H_
