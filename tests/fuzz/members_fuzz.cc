// A members file: any text. A file that is accepted gives a whole view, and the same view when its
// members are written in another order. A refusal says why in a short line that can be printed.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "tests/fuzz/check.h"
#include "weft/core/printable.h"
#include "weft/rpc/mesh/members_file_parser.h"
#include "weft/rpc/mesh/view.h"

using weft::View;
using weft::fuzz::Check;
using weft::internal::ViewDifference;

namespace {

void CheckWhole(const View& view) {
  Check(!view.empty());
  Check(view.version() != 0);
  for (size_t i = 0; i < view.size(); ++i) {
    const weft::Member& member = view.members()[i];
    Check(member.Check().ok());
    Check(view.Find(member.name) == &member);
    Check(i == 0 || view.members()[i - 1].name < member.name);
  }
  Check(ViewDifference::Between(view, view).empty());
  Check(ViewDifference::Between(View(), view).joined.size() == view.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<View> view = weft::internal::MembersFileParser::Parse(text);
  if (!view.ok()) {
    const std::string why(view.status().message());
    Check(why.size() < 2000);
    Check(weft::internal::Printable::Is(why, why.size()));
    return 0;
  }
  CheckWhole(*view);
  // Write the members again in the opposite order, with other blanks, comments and line ends.
  std::string backwards;
  for (auto member = view->members().rbegin(); member != view->members().rend(); ++member) {
    // The file has one version line at most, and no member of that name.
    Check(member->name != "version");
    absl::StrAppend(&backwards, "\t", member->name, "  ", member->address, " # again\r\n");
  }
  // Without its version line, the version is a hash of the members.
  const absl::StatusOr<View> hashed = weft::internal::MembersFileParser::Parse(backwards);
  Check(hashed.ok());
  Check(ViewDifference::Between(*view, *hashed).empty());
  absl::StrAppend(&backwards, "version ", view->version(), "\n");
  const absl::StatusOr<View> again = weft::internal::MembersFileParser::Parse(backwards);
  Check(again.ok());
  Check(*again == *view);
  return 0;
}
