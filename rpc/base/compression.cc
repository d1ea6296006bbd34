#include "weft/rpc/base/compression.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/try_allocate.h"

namespace weft {

using namespace internal;

namespace {

// zlib's windowBits: the largest window, with gzip's header and trailer.
constexpr int kGzipWindow = 15 + 16;
constexpr int kGzipMemory = 8;  // zlib's own default
// Level 2 makes large messages hardly smaller and takes 2.7 times the memory.
constexpr int kZstdLevel = 1;

// The most bytes that one compressed byte can become. Deflate: its longest match, 258 bytes, takes
// two bits. zstd: its densest block repeats a byte 128 Ki times in four bytes.
constexpr size_t kMaxGzipRatio = 1032;
constexpr size_t kMaxZstdRatio = (size_t{128} << 10) / 4 + 1;

struct EndDeflate {
  void operator()(z_stream* s) const {
    deflateEnd(s);
    delete s;
  }
};
struct EndInflate {
  void operator()(z_stream* s) const {
    inflateEnd(s);
    delete s;
  }
};
struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Each of these four returns this thread's codec, reset to its initial state. Null: no memory for
// it.
z_stream* Deflater() {
  thread_local std::unique_ptr<z_stream, EndDeflate> deflater;
  if (deflater != nullptr) {
    deflateReset(deflater.get());
    return deflater.get();
  }
  auto made = std::make_unique<z_stream>();
  if (deflateInit2(made.get(), Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kGzipMemory,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    return nullptr;
  }
  deflater.reset(made.release());
  return deflater.get();
}

z_stream* Inflater() {
  thread_local std::unique_ptr<z_stream, EndInflate> inflater;
  if (inflater != nullptr) {
    inflateReset(inflater.get());
    return inflater.get();
  }
  auto made = std::make_unique<z_stream>();
  if (inflateInit2(made.get(), kGzipWindow) != Z_OK) return nullptr;
  inflater.reset(made.release());
  return inflater.get();
}

ZSTD_CCtx* ZstdCompressor() {
  thread_local std::unique_ptr<ZSTD_CCtx, FreeZstd> context;
  if (context != nullptr) {
    ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_only);
    return context.get();
  }
  context.reset(ZSTD_createCCtx());
  if (context != nullptr) {
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  }
  return context.get();
}

ZSTD_DCtx* ZstdInflater() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeZstd> context;
  if (context == nullptr) context.reset(ZSTD_createDCtx());
  if (context != nullptr) ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
  return context.get();
}

// Hands out blocks for compressed bytes. It stops when they would be as many as the message's own:
// then compressing is not worth it, and the rest of the work is saved.
class Output {
 public:
  Output(size_t most, std::vector<MessagePiece>* pieces) : left_(most), pieces_(pieces) {}

  // Returns room for at least one byte. False: the compressed bytes would be too many, or there is
  // no memory for them.
  bool Next(char** data, size_t* size) {
    if (left_ == 0) return false;
    if (!block_ || used_ == block_->capacity()) {
      block_ = BlockRef::TryNew(std::min(left_, MessageCodec::kBlock));
      if (!block_ || !TryAllocate([this] { pieces_->push_back({block_, block_->data(), 0}); })) {
        return false;
      }
      used_ = 0;
    }
    *data = block_->data() + used_;
    *size = std::min(left_, block_->capacity() - used_);
    return true;
  }
  // Takes `n` bytes of the room as written.
  void Commit(size_t n) {
    pieces_->back().size += n;
    used_ += n;
    left_ -= n;
  }

 private:
  size_t left_;
  std::vector<MessagePiece>* const pieces_;
  BlockRef block_;
  size_t used_ = 0;
};

bool DeflateTo(Output& out, std::span<const MessagePiece> message) {
  z_stream* const s = Deflater();
  if (s == nullptr) return false;
  char* data = nullptr;
  size_t room = 0;
  // With no input and Z_FINISH it runs until the stream has ended. Z_BUF_ERROR only says that this
  // block is full: the next round brings another one.
  const auto run = [&](const char* from, size_t n, int flush) {
    s->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(from));
    s->avail_in = static_cast<uInt>(n);
    for (;;) {
      if (!out.Next(&data, &room)) return false;
      s->next_out = reinterpret_cast<Bytef*>(data);
      s->avail_out = static_cast<uInt>(room);
      const int result = deflate(s, flush);
      out.Commit(room - s->avail_out);
      if (result == Z_STREAM_END) return true;
      if (result != Z_OK && result != Z_BUF_ERROR) return false;
      if (flush == Z_NO_FLUSH && s->avail_in == 0) return true;
    }
  };
  for (const MessagePiece& piece : message) {
    // zlib's avail_in has 32 bits.
    for (size_t done = 0; done < piece.size;) {
      const size_t part = std::min<size_t>(piece.size - done, size_t{1} << 30);
      if (!run(piece.data + done, part, Z_NO_FLUSH)) return false;
      done += part;
    }
  }
  return run(nullptr, 0, Z_FINISH);
}

bool ZstdTo(Output& out, std::span<const MessagePiece> message, size_t size) {
  ZSTD_CCtx* const context = ZstdCompressor();
  if (context == nullptr) return false;
  // With the size pledged, the frame's header carries it, and the receiver can check its own
  // declaration against it (CheckZstdSize) before it allocates.
  if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, size))) return false;
  const auto run = [&](ZSTD_inBuffer in, ZSTD_EndDirective how) {
    for (;;) {
      ZSTD_outBuffer room{nullptr, 0, 0};
      char* data = nullptr;
      if (!out.Next(&data, &room.size)) return false;
      room.dst = data;
      const size_t left = ZSTD_compressStream2(context, &room, &in, how);
      if (ZSTD_isError(left)) return false;
      out.Commit(room.pos);
      if (how == ZSTD_e_end ? left == 0 : in.pos == in.size) return true;
    }
  };
  for (const MessagePiece& piece : message.first(message.size() - 1)) {
    if (!run({piece.data, piece.size, 0}, ZSTD_e_continue)) return false;
  }
  return run({message.back().data, message.back().size, 0}, ZSTD_e_end);
}

// Builds the error for `bytes`: "gzip: 12 bytes declared to inflate to 100: <why>".
absl::Status Refused(absl::StatusCode code, Compression codec, size_t bytes, size_t size,
                     absl::string_view why) {
  const std::string_view name = CompressionName(codec);
  return absl::Status(code, absl::StrCat(AbslView(name), ": ", bytes,
                                         " bytes declared to inflate to ", size, ": ", why));
}

// InflateGzip and InflateZstd fill `out`. They return the fault as text, empty when there is none.
std::string InflateGzip(std::string_view bytes, char* out, size_t size) {
  z_stream* const s = Inflater();
  if (s == nullptr) return "no memory for the codec";
  s->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  s->avail_in = static_cast<uInt>(bytes.size());
  // zlib reports surplus bytes only when it has room to write one. When `out` is full, one more
  // byte of room shows whether the stream ends here or goes on beyond the declared size.
  char beyond = 0;
  s->next_out = reinterpret_cast<Bytef*>(out);
  s->avail_out = static_cast<uInt>(size);
  int result = Z_OK;
  bool over = false;
  while (result == Z_OK) {
    if (s->avail_out == 0) {
      if (std::exchange(over, true)) break;
      s->next_out = reinterpret_cast<Bytef*>(&beyond);
      s->avail_out = 1;
    }
    result = inflate(s, Z_NO_FLUSH);
  }
  const size_t made = s->total_out;
  if (made > size) return "they become more";
  if (result == Z_BUF_ERROR || result == Z_OK) {
    return absl::StrCat("they end early, after ", made, " bytes of the message");
  }
  if (result != Z_STREAM_END) {
    return absl::StrCat("damaged: ", s->msg != nullptr ? s->msg : "it wants a dictionary");
  }
  if (made < size) return absl::StrCat("they become ", made);
  if (s->avail_in > 0) return absl::StrCat(s->avail_in, " bytes follow the end");
  return "";
}

std::string InflateZstd(std::string_view bytes, char* out, size_t size) {
  const size_t frame = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
  if (ZSTD_isError(frame)) return absl::StrCat("damaged: ", ZSTD_getErrorName(frame));
  if (frame < bytes.size()) return absl::StrCat(bytes.size() - frame, " bytes follow the end");
  ZSTD_DCtx* const context = ZstdInflater();
  if (context == nullptr) return "no memory for the codec";
  const size_t made = ZSTD_decompressDCtx(context, out, size, bytes.data(), bytes.size());
  if (ZSTD_isError(made)) return absl::StrCat("damaged: ", ZSTD_getErrorName(made));
  if (made < size) return absl::StrCat("they become ", made);
  return "";
}

// Compares the declared size with the one in the zstd frame's own header. Empty: they agree, or the
// header names none.
std::string CheckZstdSize(std::string_view bytes, size_t size) {
  const unsigned long long said = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
  if (said == ZSTD_CONTENTSIZE_ERROR) return "damaged: no zstd frame";
  if (said != ZSTD_CONTENTSIZE_UNKNOWN && said != size) {
    return absl::StrCat("their own header says ", said);
  }
  return "";
}

}  // namespace

std::string_view CompressionName(Compression codec) {
  switch (codec) {
    case Compression::kNone:
      return "none";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZstd:
      return "zstd";
  }
  return "unknown";
}

std::optional<Compression> CompressionNamed(std::string_view name) {
  for (const Compression codec : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    if (name == CompressionName(codec)) return codec;
  }
  return std::nullopt;
}

bool internal::IsCodec(Compression codec) {
  return codec == Compression::kGzip || codec == Compression::kZstd;
}

bool internal::TryCompress(Compression codec, std::span<const MessagePiece> message,
                           std::vector<MessagePiece>* out) {
  out->clear();
  size_t size = 0;
  for (const MessagePiece& piece : message) size += piece.size;
  if (size == 0 || !IsCodec(codec)) return false;
  // One byte fewer than the message: equal size is no gain either.
  Output output(size - 1, out);
  if (codec == Compression::kGzip ? DeflateTo(output, message) : ZstdTo(output, message, size)) {
    return true;
  }
  out->clear();
  return false;
}

absl::Status internal::Inflate(Compression codec, std::string_view bytes, size_t size,
                               const MessageLimit& limit, BlockRef* out) {
  out->reset();
  if (!IsCodec(codec)) {
    return absl::UnimplementedError(absl::StrCat("compression codec ", static_cast<int>(codec),
                                                 " is unknown; known are 1 (gzip), 2 (zstd)"));
  }
  const auto refused = [&](absl::StatusCode code, absl::string_view why) {
    return Refused(code, codec, bytes.size(), size, why);
  };
  if (size > std::min(limit.bytes, MessageCodec::kMax)) {
    return refused(absl::StatusCode::kResourceExhausted,
                   absl::StrCat("the limit is ", std::min(limit.bytes, MessageCodec::kMax), " (",
                                limit.Setting(), ")"));
  }
  // No stream of this codec is dense enough for the declared size: refuse before allocating it.
  const size_t most = codec == Compression::kGzip ? kMaxGzipRatio : kMaxZstdRatio;
  if (bytes.size() > UINT_MAX || size / most > bytes.size()) {
    return refused(absl::StatusCode::kInternal, "no bytes of this codec do that");
  }
  std::string wrong = codec == Compression::kZstd ? CheckZstdSize(bytes, size) : "";
  if (wrong.empty()) {
    BlockRef block = BlockRef::TryNew(size);
    if (!block) {
      return refused(absl::StatusCode::kResourceExhausted, "there is no memory for them");
    }
    wrong = codec == Compression::kGzip ? InflateGzip(bytes, block->data(), size)
                                        : InflateZstd(bytes, block->data(), size);
    if (wrong.empty()) {
      *out = std::move(block);
      return absl::OkStatus();
    }
  }
  return refused(absl::StatusCode::kInternal, wrong);
}

}  // namespace weft
