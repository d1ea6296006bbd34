// The frame of x.weft.h and x.weft.cc: includes and namespace, with the services in between.
//
// Threads  any: constants
#ifndef WEFT_CODEGEN_FILE_TEMPLATE_H_
#define WEFT_CODEGEN_FILE_TEMPLATE_H_

#include "absl/strings/string_view.h"

namespace weft::codegen {

extern const absl::string_view kHeaderFile;
extern const absl::string_view kSourceFile;

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_FILE_TEMPLATE_H_
