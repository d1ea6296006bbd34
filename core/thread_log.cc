#include "weft/core/thread_log.h"

namespace weft::internal {

constinit thread_local const Log* ThreadLog::current_ = nullptr;

}  // namespace weft::internal
