#include "weft/rpc/mesh/members_file_parser.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/printable.h"
#include "weft/rpc/mesh/member.h"

namespace weft::internal {
namespace {

// Bytes of a line at fault that its error quotes.
constexpr size_t kQuoted = 80;
constexpr std::string_view kVersion = "version";

// Takes the next word off the front of `line`; empty: there is none, or a comment begins.
std::string_view NextWord(std::string_view* line) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  size_t begin = 0;
  while (begin < line->size() && is_blank((*line)[begin])) ++begin;
  size_t end = begin;
  while (end < line->size() && !is_blank((*line)[end])) ++end;
  const std::string_view word = line->substr(begin, end - begin);
  line->remove_prefix(end);
  // Only at the beginning of a word: an address may hold a # within.
  return !word.empty() && word[0] == '#' ? std::string_view() : word;
}

// Members and version read so far, with their lines for errors.
class Reading {
 public:
  absl::Status TakeLine(std::string_view line, size_t number) {
    // Files written on Windows.
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const std::string_view name = NextWord(&line);
    if (name.empty()) return absl::OkStatus();
    const std::string_view value = NextWord(&line);
    if (value.empty()) {
      return absl::InvalidArgumentError(name == kVersion ? "expected a number behind version"
                                                         : "expected a name and an address");
    }
    if (!NextWord(&line).empty()) {
      return absl::InvalidArgumentError("more words than a name and an address");
    }
    return name == kVersion ? TakeVersion(value, number) : TakeMember(name, value, number);
  }

  absl::StatusOr<View> End() { return View::Create(std::move(members_), version_); }

 private:
  absl::Status TakeVersion(std::string_view value, size_t number) {
    if (version_ != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("a second version; the first is in line ", version_line_));
    }
    version_line_ = number;
    // SimpleAtoi alone would take a plus sign.
    if (value.find_first_not_of("0123456789") != std::string_view::npos ||
        !absl::SimpleAtoi(AbslView(value), &version_) || version_ == 0) {
      return absl::InvalidArgumentError("the version is no number from 1 to 18446744073709551615");
    }
    return absl::OkStatus();
  }

  absl::Status TakeMember(std::string_view name, std::string_view address, size_t number) {
    // These checks are View::Create's, too. Here they can name the line.
    absl::Status status = Member::CheckName(name);
    if (status.ok()) status = Member::CheckAddress(address);
    if (!status.ok()) return status;
    // Here and not only in View::Create, so that a huge file stops at its line.
    if (members_.size() == View::kMaxMembers) {
      return absl::InvalidArgumentError(
          absl::StrCat("one more than ", View::kMaxMembers, " members, which is the limit"));
    }
    Member member{std::string(name), std::string(address)};
    const auto [same_name, new_name] = line_of_name_.emplace(member.name, number);
    if (!new_name) {
      return absl::InvalidArgumentError(
          absl::StrCat("member ", member.name, " twice; the first is in line ", same_name->second));
    }
    const auto [same_address, new_address] =
        line_of_address_.emplace(member.CanonicalAddress(), number);
    if (!new_address) {
      return absl::InvalidArgumentError(
          absl::StrCat("the address of another member, in line ", same_address->second));
    }
    members_.push_back(std::move(member));
    return absl::OkStatus();
  }

  std::vector<Member> members_;
  uint64_t version_ = 0;  // 0: none yet
  size_t version_line_ = 0;
  absl::flat_hash_map<std::string, size_t> line_of_name_, line_of_address_;
};

absl::Status InLine(const absl::Status& why, size_t number, std::string_view line) {
  return absl::Status(why.code(),
                      absl::StrCat("line ", number, " \"", Printable::Text(line, kQuoted),
                                   "\": ", std::string(why.message())));
}

}  // namespace

absl::StatusOr<View> MembersFileParser::Parse(std::string_view text) {
  Reading reading;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    // A cut address may still be a valid one, with a shorter port: without this check it would be
    // dialled.
    if (end == std::string_view::npos) {
      return InLine(absl::InvalidArgumentError(
                        "the last line does not end: is the file still being written?"),
                    number, line);
    }
    const absl::Status status = reading.TakeLine(line, number);
    if (!status.ok()) return InLine(status, number, line);
    text.remove_prefix(end + 1);
  }
  return reading.End();
}

}  // namespace weft::internal
