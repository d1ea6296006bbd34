#include "weft/rpc/base/message_codec.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/message_lite.h>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/rpc/base/string_room.h"

namespace weft {
namespace {

BlockRef NewBlock(BlockPool* blocks, size_t size) {
  return blocks != nullptr ? blocks->Get(size) : BlockRef::New(size);
}

// Collects what protobuf writes: into blocks, or by reference when it offers that.
class PieceStream final : public google::protobuf::io::ZeroCopyOutputStream {
 public:
  PieceStream(size_t expected, bool share, BlockPool* blocks, std::vector<MessagePiece>* pieces)
      : left_(expected), share_(share), blocks_(blocks), pieces_(pieces) {}
  ~PieceStream() override { Flush(); }

  bool Next(void** data, int* size) override {
    Flush();
    if (!block_ || block_->capacity() == used_) {
      block_ = NewBlock(
          blocks_, share_ ? kScratch : std::clamp<size_t>(left_, kScratch, MessageCodec::kBlock));
      used_ = start_ = 0;
    }
    *data = block_->data() + used_;
    *size = static_cast<int>(block_->capacity() - used_);
    used_ = block_->capacity();
    return true;
  }
  void BackUp(int count) override { used_ -= static_cast<size_t>(count); }
  int64_t ByteCount() const override { return written_ + static_cast<int64_t>(used_ - start_); }
  bool AllowsAliasing() const override { return share_; }
  bool WriteAliasedRaw(const void* data, int size) override {
    const auto n = static_cast<size_t>(size);
    if (n < MessageCodec::kShareFrom) {
      const char* from = static_cast<const char*>(data);
      for (size_t done = 0; done < n;) {
        void* to;
        int room;
        Next(&to, &room);
        const size_t part = std::min(n - done, static_cast<size_t>(room));
        std::copy(from + done, from + done + part, static_cast<char*>(to));
        BackUp(room - static_cast<int>(part));
        done += part;
      }
      return true;
    }
    Flush();
    pieces_->push_back({BlockRef(), static_cast<const char*>(data), n});
    Count(n);
    return true;
  }

 private:
  // Large enough for the small fields between large ones.
  static constexpr size_t kScratch = 4 << 10;

  void Flush() {
    if (used_ == start_) return;
    const size_t n = used_ - start_;
    pieces_->push_back({block_, block_->data() + start_, n});
    start_ = used_;
    Count(n);
  }
  void Count(size_t n) {
    written_ += static_cast<int64_t>(n);
    left_ -= std::min(left_, n);
  }

  size_t left_;
  const bool share_;
  BlockPool* const blocks_;
  std::vector<MessagePiece>* const pieces_;
  BlockRef block_;
  size_t used_ = 0;
  size_t start_ = 0;  // what is before it stands in pieces_
  int64_t written_ = 0;
};

// The same as ParseFromArray, with room for large strings.
bool ParseLarge(const char* data, int size, google::protobuf::MessageLite* out) {
  out->Clear();
  if (!StringRoom::Make(data, static_cast<size_t>(size), out)) {
    return out->ParseFromArray(data, size);
  }
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(data), size);
  return out->MergeFromCodedStream(&in) && in.ConsumedEntireMessage();
}

}  // namespace

// Large strings and fields are as long as the peer says. What protobuf has built until then stays in
// the message, which may be cleared and destroyed.
MessageCodec::Parsed MessageCodec::Parse(const char* data, size_t size,
                                         google::protobuf::MessageLite* out) {
  try {
    const bool done = size < StringRoom::kFrom ? out->ParseFromArray(data, static_cast<int>(size))
                                               : ParseLarge(data, static_cast<int>(size), out);
    return done ? Parsed::kDone : Parsed::kBroken;
  } catch (const std::bad_alloc&) {
    return Parsed::kNoMemory;
  }
}

absl::Status MessageCodec::ParseError(Parsed parsed, std::string_view where, std::string_view what,
                                      size_t size, const google::protobuf::MessageLite& message) {
  const bool broken = parsed == Parsed::kBroken;
  return absl::Status(broken ? absl::StatusCode::kInternal : absl::StatusCode::kResourceExhausted,
                      absl::StrCat(absl::string_view(where.data(), where.size()),
                                   broken ? "cannot parse the " : "no memory to parse the ",
                                   absl::string_view(what.data(), what.size()), " (", size,
                                   " bytes) as ", message.GetTypeName()));
}

size_t MessageCodec::ByteSize(const google::protobuf::MessageLite& message) {
  return message.ByteSizeLong();
}

char* MessageCodec::WriteTo(const google::protobuf::MessageLite& message, char* out) {
  return reinterpret_cast<char*>(
      message.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(out)));
}

std::vector<MessagePiece> MessageCodec::Pieces(const google::protobuf::MessageLite& message,
                                               size_t byte_size, bool share, BlockPool* blocks) {
  std::vector<MessagePiece> pieces;
  PieceStream stream(byte_size, share, blocks, &pieces);
  {
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.EnableAliasing(share);
    message.SerializeWithCachedSizes(&coded);
  }
  return pieces;
}

std::vector<MessagePiece> MessageCodec::Copied(std::string_view bytes, BlockPool* blocks) {
  BlockRef block = NewBlock(blocks, bytes.size());
  std::memcpy(block->data(), bytes.data(), bytes.size());
  const char* const data = block->data();
  std::vector<MessagePiece> pieces;
  pieces.push_back({std::move(block), data, bytes.size()});
  return pieces;
}

}  // namespace weft
