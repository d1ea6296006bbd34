// Macros of the headers that generated files and their mocks include: a method or service of such a
// name gets another one in C++. Macros that are told by their looks are not in the list, unless
// another name may become theirs by the underscore it gets (cpp_names.h).
//
// The list is made by tests/codegen/macros.py, which also tests that no generated name is a macro
// of the headers of this machine.
//
// Threads  any: a constant
#ifndef WEFT_CODEGEN_MACRO_NAMES_H_
#define WEFT_CODEGEN_MACRO_NAMES_H_

#include "absl/strings/string_view.h"

namespace weft::codegen {

extern const absl::string_view kMacroNames;  // sorted; spaces and line feeds between them

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_MACRO_NAMES_H_
