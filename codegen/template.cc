#include "weft/codegen/template.h"

#include <cstddef>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace weft::codegen {
namespace {

class Expander {
 public:
  Expander(absl::string_view text, const TemplateValues& values) : scopes_{&values} {
    // A raw string begins behind its bracket, so the text begins on the next line.
    text = absl::StripPrefix(text, "\n");
    lines_ = absl::StrSplit(absl::StripSuffix(text, "\n"), '\n');
  }

  absl::StatusOr<std::string> Run() {
    if (absl::Status status = Lines(0, lines_.size()); !status.ok()) return status;
    return std::move(out_);
  }

 private:
  // Lines of the $else$ and the $end$ of a block; without an $else$ both are the $end$.
  struct Block {
    size_t otherwise;
    size_t end;
  };

  absl::Status Lines(size_t begin, size_t end) {
    for (size_t at = begin; at < end; ++at) {
      const absl::string_view word = absl::StripAsciiWhitespace(lines_[at]);
      absl::Status status;
      if (word == "$else$" || word == "$end$") {
        return Wrong(at, absl::StrCat(word, " without a block"));
      } else if (std::optional<std::string> list = Directive(word, "$for ")) {
        status = For(*list, &at);
      } else if (std::optional<std::string> name = Directive(word, "$if ")) {
        status = If(*name, &at);
      } else {
        status = Line(at);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status For(const std::string& name, size_t* at) {
    absl::StatusOr<Block> block = FindBlock(*at);
    if (!block.ok()) return block.status();
    const std::vector<TemplateValues>* list = FindList(name);
    if (list == nullptr) return Wrong(*at, absl::StrCat("no list '", name, "'"));
    for (const TemplateValues& element : *list) {
      scopes_.push_back(&element);
      absl::Status status = Lines(*at + 1, block->end);
      scopes_.pop_back();
      if (!status.ok()) return status;
    }
    *at = block->end;
    return absl::OkStatus();
  }

  absl::Status If(const std::string& name, size_t* at) {
    absl::StatusOr<Block> block = FindBlock(*at);
    if (!block.ok()) return block.status();
    const std::string* value = FindValue(name);
    const std::vector<TemplateValues>* list = FindList(name);
    if (value == nullptr && list == nullptr) return Wrong(*at, absl::StrCat("no '", name, "'"));
    // An empty value or list is false.
    const bool holds = value != nullptr ? !value->empty() : !list->empty();
    // Taken before `*at` moves to the $end$, behind which the caller goes on. Without an $else$ the
    // second part is empty: `otherwise` is the $end$.
    const size_t begin = holds ? *at + 1 : block->otherwise + 1;
    *at = block->end;
    return Lines(begin, holds ? block->otherwise : block->end);
  }

  // Fills in the holes. A value of several lines gets the indentation of its hole on each. A line
  // that is only a hole goes away when its value is empty.
  absl::Status Line(size_t at) {
    const absl::string_view line = lines_[at];
    const size_t indent = line.size() - absl::StripLeadingAsciiWhitespace(line).size();
    std::string text;
    size_t holes = 0;
    size_t outside = 0;  // characters that are neither indentation nor a hole's
    for (size_t i = indent; i < line.size(); ++i) {
      if (line[i] != '$') {
        text += line[i];
        ++outside;
        continue;
      }
      const size_t close = line.find('$', i + 1);
      if (close == absl::string_view::npos) return Wrong(at, "a '$' without its partner");
      const std::string name(line.substr(i + 1, close - i - 1));
      i = close;
      // "$$" is one dollar.
      if (name.empty()) {
        text += '$';
        ++outside;
        continue;
      }
      const std::string* value = FindValue(name);
      if (value == nullptr) return Wrong(at, absl::StrCat("no value '", name, "'"));
      text += *value;
      ++holes;
    }
    const bool only_a_hole = holes == 1 && outside == 0;
    if (only_a_hole && text.empty()) return absl::OkStatus();
    for (absl::string_view part : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
      // An empty line gets no indentation: generated files have no blanks at the end of a line.
      if (!part.empty()) absl::StrAppend(&out_, line.substr(0, indent), part);
      out_ += '\n';
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Block> FindBlock(size_t open) const {
    // Counts the blocks that are open inside this one: their $else$ and $end$ are theirs.
    size_t depth = 0;
    // 0 says that there is none: a block's $else$ is never the text's first line.
    size_t otherwise = 0;
    for (size_t at = open + 1; at < lines_.size(); ++at) {
      const absl::string_view word = absl::StripAsciiWhitespace(lines_[at]);
      if (Directive(word, "$for ") || Directive(word, "$if ")) ++depth;
      if (word == "$else$" && depth == 0) otherwise = at;
      if (word != "$end$") continue;
      if (depth == 0) return Block{otherwise == 0 ? at : otherwise, at};
      --depth;
    }
    return Wrong(open, "a block without $end$");
  }

  // The name in "$for name$", where the line is one.
  static std::optional<std::string> Directive(absl::string_view word, absl::string_view start) {
    if (!absl::ConsumePrefix(&word, start) || !absl::ConsumeSuffix(&word, "$")) return std::nullopt;
    return std::string(word);
  }

  const std::string* FindValue(const std::string& name) const {
    // Innermost first: a method's value hides its service's of the same name.
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (auto it = (*scope)->values.find(name); it != (*scope)->values.end()) return &it->second;
    }
    return nullptr;
  }

  const std::vector<TemplateValues>* FindList(const std::string& name) const {
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      if (auto it = (*scope)->lists.find(name); it != (*scope)->lists.end()) return &it->second;
    }
    return nullptr;
  }

  static absl::Status Wrong(size_t at, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("template line ", at + 1, ": ", what));
  }

  std::vector<absl::string_view> lines_;
  std::vector<const TemplateValues*> scopes_;  // innermost last
  std::string out_;
};

}  // namespace

absl::StatusOr<std::string> Expand(absl::string_view text, const TemplateValues& values) {
  return Expander(text, values).Run();
}

}  // namespace weft::codegen
