// The generated text of x.weft_mock.h: a gMock class for each stub.
//
// Threads  any: constants
#ifndef WEFT_CODEGEN_MOCK_TEMPLATE_H_
#define WEFT_CODEGEN_MOCK_TEMPLATE_H_

#include "absl/strings/string_view.h"

namespace weft::codegen {

extern const absl::string_view kMockFile;

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_MOCK_TEMPLATE_H_
