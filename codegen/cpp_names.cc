#include "weft/codegen/cpp_names.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

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

// Macros of the standard headers and of the compiler, and words that would be read as something
// else where generated code uses them. Sorted.
constexpr absl::string_view kMisread[] = {
    "BUFSIZ",    "DOMAIN",   "EDOM",   "EOF",      "ERANGE",   "HUGE_VAL", "INFINITY",
    "NAN",       "NDEBUG",   "NULL",   "OVERFLOW", "RAND_MAX", "SING",     "TLOSS",
    "UNDERFLOW", "assert",   "errno",  "final",    "linux",    "major",    "makedev",
    "minor",     "offsetof", "stderr", "stdin",    "stdout",   "std",      "unix",
};

template <size_t N>
bool Contains(const absl::string_view (&words)[N], absl::string_view name) {
  return std::find(std::begin(words), std::end(words), name) != std::end(words);
}

}  // namespace

std::string CppNamespace(absl::string_view package) {
  std::vector<std::string> parts = absl::StrSplit(package, '.', absl::SkipEmpty());
  for (std::string& part : parts) {
    if (Contains(kKeywords, part)) part += '_';
  }
  return absl::StrJoin(parts, "::");
}

std::string ConstantName(absl::string_view name) {
  std::string constant = absl::StrCat("k", name);
  constant[1] = absl::ascii_toupper(static_cast<unsigned char>(constant[1]));
  return constant;
}

std::vector<std::string> AssignNames(const std::vector<std::string>& wanted,
                                     std::set<std::string> taken) {
  std::vector<std::string> names(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (Contains(kKeywords, wanted[i]) || Contains(kMisread, wanted[i])) continue;
    if (taken.insert(wanted[i]).second) names[i] = wanted[i];
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!names[i].empty()) continue;
    names[i] = wanted[i] + "_";
    while (!taken.insert(names[i]).second) names[i] += '_';
  }
  return names;
}

}  // namespace weft::codegen
