#include "weft/codegen/comment.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace weft::codegen {
namespace {

void AppendLines(absl::string_view text, std::vector<std::string>* lines) {
  std::string clean(absl::StripTrailingAsciiWhitespace(text));
  // To clang a carriage return ends a line, and a // comment with it.
  for (char& c : clean) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\n' && c != '\t') c = ' ';
  }
  bool first = true;
  for (absl::string_view line : absl::StrSplit(clean, '\n')) {
    line = absl::StripTrailingAsciiWhitespace(line);
    // Empty lines in front say nothing, and would stand above the class as bare slashes.
    if (line.empty() && first) continue;
    // An empty comment line keeps the trailing comment apart from the leading one.
    if (first && !lines->empty()) lines->push_back("//");
    first = false;
    // protoc keeps the space behind its own slashes, so most lines have one already.
    std::string out = absl::StrCat(line.empty() || line[0] == ' ' ? "//" : "// ", line);
    // A backslash at the end, or the trigraph for one, would continue the comment on the next line.
    if (absl::EndsWith(out, "\\") || absl::EndsWith(out, "?\?/")) out += " //";
    lines->push_back(std::move(out));
  }
}

}  // namespace

std::string CommentLines(absl::string_view leading, absl::string_view trailing) {
  std::vector<std::string> lines;
  AppendLines(leading, &lines);
  AppendLines(trailing, &lines);
  return absl::StrJoin(lines, "\n");
}

}  // namespace weft::codegen
