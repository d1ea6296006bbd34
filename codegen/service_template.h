// The generated text of a service as its server sees it: the struct with the constants of its
// methods, and the bases that handlers can be written on.
//
// Threads  any: constants
#ifndef WEFT_CODEGEN_SERVICE_TEMPLATE_H_
#define WEFT_CODEGEN_SERVICE_TEMPLATE_H_

#include "absl/strings/string_view.h"

namespace weft::codegen {

extern const absl::string_view kServiceDeclarations;
extern const absl::string_view kServiceDefinitions;

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_SERVICE_TEMPLATE_H_
