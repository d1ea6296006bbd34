#include "weft/rpc/base/message_codec.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message_lite.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/check.h"
#include "weft/core/try_allocate.h"
#include "weft/rpc/base/string_room.h"

namespace weft::internal {
namespace {

// Returns an empty reference when there is no memory, even for the smallest block.
BlockRef TryBlock(BlockPool* blocks, size_t size) {
  BlockRef block;
  if (!TryAllocate(
          [&] { block = blocks != nullptr ? blocks->TryGet(size) : BlockRef::TryNew(size); })) {
    return BlockRef();
  }
  return block;
}

// The stream into which protobuf serializes. It collects pieces: bytes copied into blocks, and
// large fields by reference where protobuf offers that. protobuf ignores a false of Next and goes
// on, so the failure is remembered here and Finish reports it.
class PieceStream final : public google::protobuf::io::ZeroCopyOutputStream {
 public:
  PieceStream(size_t expected, bool share, BlockPool* blocks, std::vector<MessagePiece>* pieces)
      : left_(expected), share_(share), blocks_(blocks), pieces_(pieces) {}

  // Call after the last write. False: bytes were lost for want of memory.
  [[nodiscard]] bool Finish() { return Flush() && !failed_; }

  bool Next(void** data, int* size) override {
    if (!Flush()) return false;
    if (!block_ || block_->capacity() == used_) {
      // With sharing on, large fields are referenced, so a small block does for the fields between
      // them. Without it the block takes all that is left, up to kBlock.
      block_ = TryBlock(
          blocks_, share_ ? kScratch : std::clamp<size_t>(left_, kScratch, MessageCodec::kBlock));
      used_ = start_ = 0;
      failed_ = !block_;
      if (failed_) return false;
    }
    *data = block_->data() + used_;
    *size = static_cast<int>(block_->capacity() - used_);
    // protobuf owns the whole rest of the block until BackUp says how much it did not use.
    used_ = block_->capacity();
    return true;
  }
  void BackUp(int count) override { used_ -= static_cast<size_t>(count); }
  int64_t ByteCount() const override { return written_ + static_cast<int64_t>(used_ - start_); }
  bool AllowsAliasing() const override { return share_; }
  bool WriteAliasedRaw(const void* data, int size) override {
    const auto n = static_cast<size_t>(size);
    // Small fields are copied: a piece of its own costs more than the copy.
    if (n < MessageCodec::kShareFrom) {
      const char* from = static_cast<const char*>(data);
      for (size_t done = 0; done < n;) {
        void* to;
        int room;
        if (!Next(&to, &room)) return false;
        const size_t part = std::min(n - done, static_cast<size_t>(room));
        std::copy(from + done, from + done + part, static_cast<char*>(to));
        BackUp(room - static_cast<int>(part));
        done += part;
      }
      return true;
    }
    return Flush() && Add({BlockRef(), static_cast<const char*>(data), n});
  }

 private:
  // Large enough for the small fields that stand between large ones.
  static constexpr size_t kScratch = 4 << 10;

  bool Flush() {
    if (used_ == start_) return !failed_;
    const size_t from = std::exchange(start_, used_);
    return Add({block_, block_->data() + from, used_ - from});
  }
  bool Add(MessagePiece piece) {
    const size_t n = piece.size;
    if (failed_ || !TryAllocate([&] { pieces_->push_back(std::move(piece)); })) {
      failed_ = true;
      return false;
    }
    written_ += static_cast<int64_t>(n);
    left_ -= std::min(left_, n);
    return true;
  }

  size_t left_;
  const bool share_;
  BlockPool* const blocks_;
  std::vector<MessagePiece>* const pieces_;
  BlockRef block_;
  size_t used_ = 0;
  size_t start_ = 0;  // bytes before this are in pieces_ already
  int64_t written_ = 0;
  bool failed_ = false;
};

// Does what ParsePartialFromArray does, but first reserves room for large strings.
bool ParseLarge(const char* data, int size, google::protobuf::MessageLite* out) {
  out->Clear();
  if (!StringRoom::Make(data, static_cast<size_t>(size), out)) {
    return out->ParsePartialFromArray(data, size);
  }
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(data), size);
  return out->MergePartialFromCodedStream(&in) && in.ConsumedEntireMessage();
}

}  // namespace

constinit thread_local bool MessageCodec::deterministic_ = false;

// The peer decides how long strings and fields are, so an allocation inside protobuf may fail. The
// half-parsed message stays valid: it may be cleared and destroyed.
MessageCodec::Parsed MessageCodec::Parse(const char* data, size_t size,
                                         google::protobuf::MessageLite* out) {
  bool whole = false;
  if (!TryAllocate([&] {
        whole = size < StringRoom::kFrom ? out->ParsePartialFromArray(data, static_cast<int>(size))
                                         : ParseLarge(data, static_cast<int>(size), out);
      })) {
    return Parsed::kNoMemory;
  }
  if (!whole) return Parsed::kBroken;
  return out->IsInitialized() ? Parsed::kDone : Parsed::kIncomplete;
}

absl::Status MessageCodec::ParseError(Parsed parsed, std::string_view where, std::string_view what,
                                      size_t size, const google::protobuf::MessageLite& message) {
  if (parsed == Parsed::kIncomplete) {
    const std::string it = absl::StrCat(AbslView(where), "the ", AbslView(what));
    return Incomplete(absl::StatusCode::kInternal, it, message);
  }
  const bool broken = parsed == Parsed::kBroken;
  return absl::Status(
      broken ? absl::StatusCode::kInternal : absl::StatusCode::kResourceExhausted,
      absl::StrCat(AbslView(where), broken ? "cannot parse the " : "no memory to parse the ",
                   AbslView(what), " (", size, " bytes) as ", message.GetTypeName()));
}

bool MessageCodec::IsComplete(const google::protobuf::MessageLite& message) {
  return message.IsInitialized();
}

absl::Status MessageCodec::Incomplete(absl::StatusCode code, std::string_view what,
                                      const google::protobuf::MessageLite& message) {
  const std::string fields = message.InitializationErrorString();
  // The lite runtime says only that it cannot tell.
  const bool named = !absl::StartsWith(fields, "(cannot determine");
  return absl::Status(
      code, absl::StrCat(AbslView(what), " lacks required fields of ", message.GetTypeName(),
                         named ? ": " : "", named ? fields : std::string()));
}

size_t MessageCodec::ByteSize(const google::protobuf::MessageLite& message) {
  return message.ByteSizeLong();
}

// An application that made protobuf's own default deterministic gets that here, too.
bool MessageCodec::InOrder() {
  return deterministic_ ||
         google::protobuf::io::CodedOutputStream::IsDefaultSerializationDeterministic();
}

char* MessageCodec::WriteTo(const google::protobuf::MessageLite& message, char* out) {
  // SerializeWithCachedSizesToArray would do, but it cannot be asked for the order of maps.
  auto* const to = reinterpret_cast<uint8_t*>(out);
  google::protobuf::io::EpsCopyOutputStream stream(to, message.GetCachedSize(), InOrder());
  return reinterpret_cast<char*>(message._InternalSerialize(to, &stream));
}

bool MessageCodec::Pieces(const google::protobuf::MessageLite& message, size_t byte_size,
                          bool share, std::vector<MessagePiece>* pieces, BlockPool* blocks) {
  pieces->clear();
  PieceStream stream(byte_size, share, blocks, pieces);
  {
    // Gone before Finish: its destructor gives back the room that it did not use.
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.EnableAliasing(share);
    coded.SetSerializationDeterministic(InOrder());
    message.SerializeWithCachedSizes(&coded);
  }
  if (stream.Finish()) return true;
  pieces->clear();
  return false;
}

bool MessageCodec::Copied(std::string_view bytes, std::vector<MessagePiece>* pieces,
                          BlockPool* blocks) {
  pieces->clear();
  BlockRef block = TryBlock(blocks, bytes.size());
  if (!block) return false;
  std::memcpy(block->data(), bytes.data(), bytes.size());
  const char* const data = block->data();
  pieces->push_back({std::move(block), data, bytes.size()});
  return true;
}

absl::Status MessageCodec::NoMemory(std::string_view what, size_t size) {
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory to send ", AbslView(what), " of ", size, " bytes"));
}

}  // namespace weft::internal
