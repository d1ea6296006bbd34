// The generated text of a service as its client sees it: the interface that a program can mock, and
// the stub that calls.
//
// Threads  any: constants
#ifndef WEFT_CODEGEN_STUB_TEMPLATE_H_
#define WEFT_CODEGEN_STUB_TEMPLATE_H_

#include "absl/strings/string_view.h"

namespace weft::codegen {

extern const absl::string_view kStubDeclarations;
extern const absl::string_view kStubDefinitions;

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_STUB_TEMPLATE_H_
