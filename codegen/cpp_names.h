// Which C++ names stand for the names in a .proto.
//
// A name stays as it is wherever C++ allows. One that is a keyword, a well-known macro, or already
// taken gets an underscore, and another one until it is free. What a .proto writes itself always
// goes before what weft derives from it, so a name never changes because of one that is derived.
//
// Threads  any: no state
#ifndef WEFT_CODEGEN_CPP_NAMES_H_
#define WEFT_CODEGEN_CPP_NAMES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace weft::codegen {

// "demo.namespace.v1" -> "demo::namespace_::v1".
std::string CppNamespace(absl::string_view package);

// "Say" and "say" -> "kSay".
std::string ConstantName(absl::string_view name);

// One C++ name for each wanted one, in the same order, all different and none of them in `taken`.
std::vector<std::string> AssignNames(const std::vector<std::string>& wanted,
                                     std::set<std::string> taken);

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_CPP_NAMES_H_
