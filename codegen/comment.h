// A comment of a .proto as a comment in C++.
//
// Threads  any: no state
#ifndef WEFT_CODEGEN_COMMENT_H_
#define WEFT_CODEGEN_COMMENT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace weft::codegen {

// Lines that start with //, without a last line feed; "" where there is nothing to say. `leading`
// stands above a declaration, `trailing` behind it, both as SourceLocation has them. No content of
// theirs can end the comment early, or swallow the line that follows it.
std::string CommentLines(absl::string_view leading, absl::string_view trailing);

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_COMMENT_H_
