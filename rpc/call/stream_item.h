// A message of a stream, its cost in credit, and the things that reading it needs.
//
// Threads  values
#ifndef WEFT_RPC_CALL_STREAM_ITEM_H_
#define WEFT_RPC_CALL_STREAM_ITEM_H_

#include <cstddef>

#include "weft/rpc/base/received_message.h"

namespace weft {
class Log;
}  // namespace weft

namespace weft::internal {

class StreamTransport;

struct StreamItem {
  ReceivedMessage message;
  size_t cost = 0;  // is given back when the message has been read, or dropped
};

// The origin of a stream's messages. A stream that has been given messages keeps its transport to
// its end, so the pointers stay valid as long as the stream.
struct StreamSource {
  StreamTransport* transport = nullptr;
  const Log* log = nullptr;  // for lines of libraries during parsing; null: none
  InflateGate* gate = nullptr;
  MessageLimit max_message;  // of an inflated message
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_ITEM_H_
