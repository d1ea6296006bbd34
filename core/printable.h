// Makes text of a peer fit to be printed: in a log line, a status, a name on a page.
//
// Printable characters of valid UTF-8 are kept. Everything that a terminal or a reader of lines
// would act on is written as \n, \t, \r or \xNN for each byte: control characters, ESC and the C1
// range among them, line and paragraph separators, marks that turn the direction of writing, and
// bytes that are no UTF-8. A backslash stays as it is, so that text may pass twice.
//
// Threads  any; functions without state
#ifndef WEFT_CORE_PRINTABLE_H_
#define WEFT_CORE_PRINTABLE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD Printable {
 public:
  // Of text that is part of a line: a name, an error that a peer tells.
  static constexpr size_t kMaxText = 1024;

  // At most `max` bytes of it, and how many bytes of `text` were left out behind them.
  static std::string Text(std::string_view text, size_t max = kMaxText);
  // True: Text would give it back as it is.
  static bool Is(std::string_view text, size_t max = kMaxText);
};

}  // namespace weft::internal

#endif  // WEFT_CORE_PRINTABLE_H_
