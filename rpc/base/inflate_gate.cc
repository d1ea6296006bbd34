#include "weft/rpc/base/inflate_gate.h"

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/rpc/base/compression.h"

namespace weft::internal {
namespace {

std::string Declared(Compression codec, size_t compressed, size_t inflated) {
  return absl::StrCat(AbslView(CompressionName(codec)), ": ", compressed,
                      " bytes declared to inflate to ", inflated, ": ");
}

}  // namespace

absl::Status InflateGate::Check(Compression codec, size_t compressed, size_t inflated) const {
  if ((codec == Compression::kGzip && !options_.gzip) ||
      (codec == Compression::kZstd && !options_.zstd)) {
    const absl::string_view name = AbslView(CompressionName(codec));
    return absl::UnimplementedError(absl::StrCat("messages compressed with ", name,
                                                 " are not taken (inflate.", name, " of the ",
                                                 AbslView(side_), ")"));
  }
  // The division comes first: where its test holds, the product behind it cannot overflow.
  if (IsCodec(codec) && options_.max_ratio > 0 && inflated > options_.min_ratio_bytes &&
      inflated / options_.max_ratio >= compressed && inflated > compressed * options_.max_ratio) {
    return absl::ResourceExhaustedError(
        absl::StrCat(Declared(codec, compressed, inflated), "the limit is ", options_.max_ratio,
                     " times as many (inflate.max_ratio of the ", AbslView(side_), ")"));
  }
  return absl::OkStatus();
}

absl::Status InflateGate::TryEnter(Compression codec, size_t compressed, size_t inflated,
                                   Entry* entry) {
  // Add first and take back on refusal: two threads that load, compare and then add could both pass
  // the limit. Relaxed is enough, for the counter guards no other memory.
  const size_t before = inflating_.fetch_add(inflated, std::memory_order_relaxed);
  if (options_.max_inflating_bytes > 0 && before + inflated > options_.max_inflating_bytes) {
    inflating_.fetch_sub(inflated, std::memory_order_relaxed);
    return absl::ResourceExhaustedError(
        absl::StrCat(Declared(codec, compressed, inflated), before,
                     " bytes are being inflated, the limit is ", options_.max_inflating_bytes,
                     " (inflate.max_inflating_bytes of the ", AbslView(side_), ")"));
  }
  Entry entered;
  entered.gate_ = this;
  entered.bytes_ = inflated;
  *entry = std::move(entered);
  return absl::OkStatus();
}

}  // namespace weft::internal
