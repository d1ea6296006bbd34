#include "weft/rpc/base/serialized_request.h"

#include <cstring>
#include <utility>

#include "weft/core/try_allocate.h"

namespace weft::internal {
namespace {

// Returns an empty reference when there is no memory. A message of no bytes has a block, too, so
// that an empty block always means failure.
BlockRef BlockOf(size_t size) {
  BlockRef block;
  (void)TryAllocate([&] { block = BlockRef::TryNew(size > 0 ? size : 1); });
  return block;
}

std::shared_ptr<const SerializedRequest> Made(BlockRef block, size_t size) {
  std::shared_ptr<const SerializedRequest> made;
  (void)TryAllocate([&] { made = std::make_shared<SerializedRequest>(std::move(block), size); });
  return made;
}

}  // namespace

std::shared_ptr<const SerializedRequest> SerializedRequest::Of(
    const google::protobuf::MessageLite& message, size_t size) {
  BlockRef block = BlockOf(size);
  if (!block) return nullptr;
  MessageCodec::WriteTo(message, block->data());
  return Made(std::move(block), size);
}

std::shared_ptr<const SerializedRequest> SerializedRequest::Copy(std::string_view bytes) {
  BlockRef block = BlockOf(bytes.size());
  if (!block) return nullptr;
  std::memcpy(block->data(), bytes.data(), bytes.size());
  return Made(std::move(block), bytes.size());
}

const SerializedRequest::Form* SerializedRequest::Compressed(Compression codec) const {
  const auto index = static_cast<size_t>(codec);
  if (!IsCodec(codec)) return nullptr;
  // Compressing under the lock makes other senders wait for the form instead of making it again. A
  // form without pieces remembers that the codec makes this message no smaller.
  MutexLock lock(mu_);
  if (index >= compressed_.size()) return nullptr;
  std::optional<Form>& form = compressed_[index];
  if (!form.has_value()) {
    form.emplace();
    const MessagePiece whole = piece();
    (void)TryCompress(codec, {&whole, 1}, &form->pieces);
    for (const MessagePiece& each : form->pieces) form->size += each.size;
  }
  return form->pieces.empty() ? nullptr : &*form;
}

}  // namespace weft::internal
