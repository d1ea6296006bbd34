// The answer to one question: do the first bytes of a stream begin a protocol, or a transport's
// handshake?
//
// Threads  value
#ifndef WEFT_CORE_MATCH_H_
#define WEFT_CORE_MATCH_H_

#include <cstdint>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft::internal {

enum class Match : uint8_t { kNo, kNeedMore, kYes };

// Looks at the first bytes of a stream, those that have come. kNeedMore: they may still become it.
using Matcher = Match (*)(std::string_view first);

}  // namespace weft::internal

#endif  // WEFT_CORE_MATCH_H_
