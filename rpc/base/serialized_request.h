// A request as bytes that can be sent any number of times: by several attempts of a call, and on
// several connections.
//
//   message ──Of──► bytes ──Compressed──► fewer bytes, one form for each codec
//
// The message is serialized when this is made, and compressed when its first sender asks for it.
// Each later sender gets the same blocks. A connection that has not written all of a form keeps a
// reference to its blocks and needs nothing else of this object.
//
// Threads  any: the bytes never change; the first senders of a compressed form wait for each other
// Owns     its blocks, together with whoever sends them
// Errors   Of and Copy return null where there is no memory
#ifndef WEFT_RPC_BASE_SERIALIZED_REQUEST_H_
#define WEFT_RPC_BASE_SERIALIZED_REQUEST_H_

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/base/message_codec.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft::internal {

class WEFT_ANY_THREAD SerializedRequest {
 public:
  // Bytes in the order in which they are sent.
  struct Form {
    Form() : size(0) {}  // not by a default of the member: `std::optional<Form>` stands below
    std::vector<MessagePiece> pieces;
    size_t size;
  };

  // Serializes `message`. `size`: the result of the last ByteSize of it.
  static std::shared_ptr<const SerializedRequest> Of(const google::protobuf::MessageLite& message,
                                                     size_t size);
  // Copies a message that is serialized already.
  static std::shared_ptr<const SerializedRequest> Copy(std::string_view bytes);

  explicit SerializedRequest(BlockRef block, size_t size) : block_(std::move(block)), size_(size) {}

  size_t size() const { return size_; }
  std::string_view bytes() const { return {block_->data(), size_}; }
  // All of the bytes.
  MessagePiece piece() const { return {block_, block_->data(), size_}; }
  // Returns null if the codec makes the message no smaller, or is none. Valid as long as this
  // object.
  const Form* Compressed(Compression codec) const WEFT_EXCLUDES(mu_);

 private:
  const BlockRef block_;
  const size_t size_;

  mutable Mutex mu_;
  // Indexed by codec. nullopt: no sender has asked for that codec yet.
  mutable std::array<std::optional<Form>, 3> compressed_ WEFT_GUARDED_BY(mu_);
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_SERIALIZED_REQUEST_H_
