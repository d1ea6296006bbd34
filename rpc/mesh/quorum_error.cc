#include "weft/rpc/mesh/quorum_error.h"

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"

namespace weft::internal {
namespace {

// The first `most` bytes of a text, cut between UTF-8 characters.
std::string_view Shortened(absl::string_view text, size_t most) {
  if (text.size() <= most) return {text.data(), text.size()};
  size_t end = most;
  // A byte 10xxxxxx continues a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return {text.data(), end};
}

}  // namespace

void QuorumError::Add(std::string_view peer, const absl::Status& why) {
  last_ = why.code();
  const auto code = static_cast<size_t>(last_);
  ++failures_;
  if (code < kCodes && counts_[code]++ == 0) first_[code] = failures_;
  if (failures_ > kMaxNamed) return;
  const std::string_view text = Shortened(why.message(), kMaxText);
  absl::StrAppend(&named_, failures_ > 1 ? "; " : ": ", AbslView(peer), ": ", AbslView(text),
                  text.size() < why.message().size() ? "…" : "");
}

absl::Status QuorumError::Make(const MethodInfo& method, const QuorumCount& count,
                               std::string_view verb) const {
  // The most frequent code is told, and of equally frequent ones the first: the rest would hide the
  // cause. UNAVAILABLE if nobody failed.
  auto code = static_cast<size_t>(absl::StatusCode::kUnavailable);
  for (size_t each = 1; each < kCodes; ++each) {
    if (counts_[each] > counts_[code] ||
        (counts_[each] == counts_[code] && counts_[each] > 0 && first_[each] < first_[code])) {
      code = each;
    }
  }
  // A deadline that ended the broadcast matters more than what failed before it.
  const absl::StatusCode told = last_ == absl::StatusCode::kDeadlineExceeded && failures_ > 0
                                    ? last_
                                    : static_cast<absl::StatusCode>(code);
  std::string text =
      absl::StrCat("broadcast ", AbslView(method.full_name), ": ", count.ok(), " of ",
                   count.members(), " ", AbslView(verb), ", ", count.needed(), " needed", named_);
  if (failures_ > kMaxNamed) absl::StrAppend(&text, "; and ", failures_ - kMaxNamed, " more");
  return absl::Status(told, text);
}

}  // namespace weft::internal
