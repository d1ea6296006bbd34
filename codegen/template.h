// Text with named holes, and what fills them.
//
//   $name$                          the value of that name; $$ is a dollar sign
//   $for list$ ... $end$            the lines between, once for each element of the list
//   $if name$ ... $else$ ... $end$  the first lines where the value or list is not empty, or else
//                                   the second ones
//
// `$for`, `$if`, `$else$` and `$end$` stand alone on a line, which vanishes. A hole alone on its
// line gives its indentation to every line of its value, and vanishes with its line where the value
// is empty. Inside of a loop the values of the element hide those outside. One line feed at the
// very start of the text is dropped, so that a raw string may start on its own line.
//
// Threads  any: no state
// Errors   a mistake in the text or a name without a value: InvalidArgument, naming the line
#ifndef WEFT_CODEGEN_TEMPLATE_H_
#define WEFT_CODEGEN_TEMPLATE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace weft::codegen {

struct TemplateValues {
  std::map<std::string, std::string> values;
  std::map<std::string, std::vector<TemplateValues>> lists;
};

absl::StatusOr<std::string> Expand(absl::string_view text, const TemplateValues& values);

}  // namespace weft::codegen

#endif  // WEFT_CODEGEN_TEMPLATE_H_
