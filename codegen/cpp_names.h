// Chooses the C++ names that stand for the names in a .proto.
//
// A name stays as it is wherever C++ allows. A keyword, a macro (macro_names.h), a name that looks
// like a macro (FOO_BAR, SYS_read, _x) and a name that is already taken get underscores until the
// result is free. Names written in the .proto are chosen before names that weft derives from them,
// so a derived name never changes a written one.
//
// Threads  any: no state
#ifndef WEFT_CODEGEN_CPP_NAMES_H_
#define WEFT_CODEGEN_CPP_NAMES_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace weft::codegen {

// "demo.namespace.v1" -> "demo::namespace_::v1".
std::string CppNamespace(absl::string_view package);

// OK for a name that can be a namespace inside that of a package, as "rpc" or "a::b"; else an
// InvalidArgument that says why not.
absl::Status CheckNestedNamespace(absl::string_view name);

// "Say" and "say" -> "kSay".
std::string ConstantName(absl::string_view name);

// One C++ name for each wanted one, in the same order, all different and none of them in `taken`.
std::vector<std::string> AssignNames(const std::vector<std::string>& wanted,
                                     std::set<std::string> taken);

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_CPP_NAMES_H_
