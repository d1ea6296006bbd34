#include "weft/codegen/cpp_names.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "weft/codegen/macro_names.h"

namespace weft::codegen {
namespace {

// C++20, with the alternative spellings of operators. Sorted.
constexpr absl::string_view kKeywords[] = {
    "alignas",       "alignof",     "and",
    "and_eq",        "asm",         "auto",
    "bitand",        "bitor",       "bool",
    "break",         "case",        "catch",
    "char",          "char16_t",    "char32_t",
    "char8_t",       "class",       "co_await",
    "co_return",     "co_yield",    "compl",
    "concept",       "const",       "const_cast",
    "consteval",     "constexpr",   "constinit",
    "continue",      "decltype",    "default",
    "delete",        "do",          "double",
    "dynamic_cast",  "else",        "enum",
    "explicit",      "export",      "extern",
    "false",         "float",       "for",
    "friend",        "goto",        "if",
    "inline",        "int",         "long",
    "mutable",       "namespace",   "new",
    "noexcept",      "not",         "not_eq",
    "nullptr",       "operator",    "or",
    "or_eq",         "private",     "protected",
    "public",        "register",    "reinterpret_cast",
    "requires",      "return",      "short",
    "signed",        "sizeof",      "static",
    "static_assert", "static_cast", "struct",
    "switch",        "template",    "this",
    "thread_local",  "throw",       "true",
    "try",           "typedef",     "typeid",
    "typename",      "union",       "unsigned",
    "using",         "virtual",     "void",
    "volatile",      "wchar_t",     "while",
    "xor",           "xor_eq",
};

// Words that would be read as something else where generated code uses them.
// `final` behind a class's name ends its head, and `std` inside a namespace hides the standard
// library's.
constexpr absl::string_view kMisread[] = {"final", "std"};

template <size_t N>
bool Contains(const absl::string_view (&words)[N], absl::string_view name) {
  return std::find(std::begin(words), std::end(words), name) != std::end(words);
}

// A macro by its looks, which holds for macros of any header: a leading underscore, as in
// _GNU_SOURCE, or capitals and digits up to the first underscore, as in SIG_DFL and SYS_read.
bool LooksLikeMacro(absl::string_view name) {
  if (name.empty()) return false;
  if (name[0] == '_') return true;
  if (!absl::ascii_isupper(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    if (c == '_') return true;
    if (absl::ascii_islower(static_cast<unsigned char>(c))) return false;
  }
  return false;
}

bool IsListed(absl::string_view name) {
  // Never destroyed, as all of the plugin's tables: there is nothing to gain at its end.
  static const auto& macros = *new std::set<absl::string_view>(
      absl::StrSplit(kMacroNames, absl::ByAnyChar(" \n"), absl::SkipEmpty()));
  return macros.count(name) != 0;
}

bool IsFree(absl::string_view name) {
  return !Contains(kKeywords, name) && !Contains(kMisread, name) && !LooksLikeMacro(name) &&
         !IsListed(name);
}

// The same of a name that has got its underscore: GTEST_SKIP_ is a macro, as GTEST_SKIP is, and
// WEFT_X_H_ guards a header.
bool IsFreeEscaped(absl::string_view name) {
  return !IsListed(name) && !absl::EndsWith(name, "_H_") && !absl::EndsWith(name, "_H__");
}

}  // namespace

std::string CppNamespace(absl::string_view package) {
  std::vector<std::string> parts = absl::StrSplit(package, '.', absl::SkipEmpty());
  for (std::string& part : parts) {
    // As protoc does for the messages, which stand in the same namespace.
    if (Contains(kKeywords, part)) part += '_';
  }
  return absl::StrJoin(parts, "::");
}

absl::Status CheckNestedNamespace(absl::string_view name) {
  for (const absl::string_view part : absl::StrSplit(name, "::")) {
    bool identifier = !part.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(part[0]));
    for (const char c : part) {
      identifier &= c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c));
    }
    if (!identifier) {
      return absl::InvalidArgumentError(absl::StrCat(
          "'", part, "' is no name: a namespace inside the package's, as rpc or a::b"));
    }
    if (!IsFree(part)) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", part, "' means something else in C++, or looks like a macro"));
    }
  }
  return absl::OkStatus();
}

std::string ConstantName(absl::string_view name) {
  std::string constant = absl::StrCat("k", name);
  // kSay also for `say`: lower-case method names are legal in a .proto.
  constant[1] = absl::ascii_toupper(static_cast<unsigned char>(constant[1]));
  return constant;
}

std::vector<std::string> AssignNames(const std::vector<std::string>& wanted,
                                     std::set<std::string> taken) {
  std::vector<std::string> names(wanted.size());
  // First the names that can stay: one that has to change must not take a name that another has in
  // the .proto.
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (IsFree(wanted[i]) && taken.insert(wanted[i]).second) names[i] = wanted[i];
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!names[i].empty()) continue;
    // As protoc escapes its own names, so that a reader of one recognizes the other.
    names[i] = wanted[i] + "_";
    while (!IsFreeEscaped(names[i]) || !taken.insert(names[i]).second) names[i] += '_';
  }
  return names;
}

}  // namespace weft::codegen
