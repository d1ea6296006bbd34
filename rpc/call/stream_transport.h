// Carries the messages of streams: a session, as a stream sees it. The session's own data for a
// stream, such as windows and credit, lies in the stream's TransportSlot.
//
// Threads  any
#ifndef WEFT_RPC_CALL_STREAM_TRANSPORT_H_
#define WEFT_RPC_CALL_STREAM_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "weft/core/thread_contract.h"

namespace google::protobuf {
class MessageLite;
}

namespace weft {
class Log;
}  // namespace weft

namespace weft::internal {

class StreamPort;

enum class StreamSent : uint8_t {
  kSent,
  kBlocked,  // no credit, or much waits to be written: StreamPort::OnRoom comes when it may go
  kEnded,    // the call is over, or this side has ended its stream
  kRefused,  // it can never go: see `why`
};

// A message, as it is or serialized.
struct StreamMessage {
  const google::protobuf::MessageLite* message = nullptr;
  std::string_view bytes = {};             // where `message` is null
  const absl::Cord* attachment = nullptr;  // beside it; null: none
};

class WEFT_ANY_THREAD StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  // `last`: it ends this side's stream. `gather`: more follow soon.
  virtual StreamSent SendMessage(StreamPort& port, const StreamMessage& message, bool last,
                                 bool gather, absl::Status* why) = 0;
  // Ends this side's stream without a message.
  virtual void SendHalfClose(StreamPort& port) = 0;
  // So many bytes of the stream's messages have been read, or thrown away.
  virtual void ReturnCredit(StreamPort& port, size_t bytes) = 0;
  // True when SendMessage would send, as far as one can say.
  virtual bool HasRoom(StreamPort& port) = 0;
  // The log for lines that libraries write while a message is parsed; null: there is none.
  virtual const Log* log() const { return nullptr; }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_STREAM_TRANSPORT_H_
