// Takes the messages of streams, and credit, from a native session's input, for calls of both
// sides.
//
// Threads  the session's loop
// Owns     nothing: a message goes to its stream at once, or to the unfinished ones
// Errors   an unacceptable message ends its call; a breach of the protocol ends the session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_STREAM_READER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_STREAM_READER_H_

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/received_message.h"
#include "weft/rpc/call/stream_port.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class CallEnder;
class InboundTable;
class ReplyReader;
class UnfinishedMessages;

class StreamReader {
 public:
  explicit StreamReader(SessionShared& shared) : shared_(shared) {}

  void TakeMessage(const BlockRef& block, const FrameHeader& header,
                   std::string_view body) WEFT_LOOP_ONLY;
  void TakeWindow(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;
  // Delivers a message that stays counted in the account until its credit is returned.
  void Deliver(StreamPort& port, ReceivedMessage message, bool last) WEFT_LOOP_ONLY;

 private:
  std::shared_ptr<StreamPort> Find(const FrameHeader& header, bool* wrong) WEFT_LOOP_ONLY;
  bool MayCome(const FrameHeader& header, StreamPort* port) WEFT_LOOP_ONLY;
  absl::Status Check(StreamPort& port, const Payload& payload) WEFT_LOOP_ONLY;
  absl::Status Take(const BlockRef& block, const FrameHeader& header, const Payload& payload,
                    const std::shared_ptr<StreamPort>& port) WEFT_LOOP_ONLY;

  SessionShared& shared_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_STREAM_READER_H_
