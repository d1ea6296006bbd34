// Takes the lines that protobuf writes of itself: a peer's message with a string that is no UTF-8
// makes it write one each time.
//
// protobuf has one handler for a process, and writes to standard error by default. Ours passes
// lines of threads that are at work for a runtime (core/thread_log.h) to its log, thinned out; all
// others go to the handler that was there before. An application that sets its own handler
// afterwards gets every line, weft's threads' too.
//
// Threads  any. protobuf does not guard its handler: threads of the application that parse while
//          the first channel or server is made see the old one or the new one
#ifndef WEFT_RPC_BASE_PROTOBUF_LOG_H_
#define WEFT_RPC_BASE_PROTOBUF_LOG_H_

#include "weft/core/thread_contract.h"

namespace weft::internal {

class WEFT_ANY_THREAD ProtobufLog {
 public:
  // Once in a process; later calls do nothing.
  static void Install();
};

}  // namespace weft::internal

#endif  // WEFT_RPC_BASE_PROTOBUF_LOG_H_
