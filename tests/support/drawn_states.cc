#include "tests/support/drawn_states.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace weft::test {
namespace {

constexpr absl::string_view kHead = "►";
constexpr absl::string_view kLine = "─";

// The root of the tree: this file's name without its own place there.
std::string Root() {
  absl::string_view name = __FILE__;
  (void)absl::ConsumeSuffix(&name, "tests/support/drawn_states.cc");
  return std::string(name);
}

// The states of a list such as "kOpen, kClosed ". Empty where something else stands there.
std::vector<std::string> StatesOf(absl::string_view list, const std::vector<std::string>& names) {
  std::vector<std::string> states;
  for (absl::string_view one : absl::StrSplit(list, ',')) {
    one = absl::StripAsciiWhitespace(one);
    one = one.substr(0, one.find_first_of(" :("));  // a remark may stand behind it
    if (std::find(names.begin(), names.end(), std::string(one)) == names.end()) return {};
    states.emplace_back(one);
  }
  return states;
}

}  // namespace

Transitions DrawnInText(const std::string& text, const std::vector<std::string>& names) {
  Transitions drawn;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "//")) break;  // the first comment's end
    std::vector<std::string> from;
    // The states of each part go to those of the next one, which an arrow parts from it.
    for (const absl::string_view part : absl::StrSplit(line, kHead)) {
      const std::vector<std::string> states = StatesOf(part.substr(0, part.find(kLine)), names);
      for (const std::string& one : from) {
        for (const std::string& to : states) drawn.emplace(one, to);
      }
      from = states;
    }
  }
  return drawn;
}

Transitions DrawnIn(const std::string& header, const std::vector<std::string>& names) {
  std::ifstream file(absl::StrCat(Root(), header));
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return DrawnInText(text, names);
}

}  // namespace weft::test
