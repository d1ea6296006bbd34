// Cuts a known peer's bytes into frames and hands each frame to the session's part for it.
//
//   bytes ─► header, checked ─► whole frame ─► InboundTable, ReplyReader, StreamReader, Leaving …
//                            ─► DATA: its bytes as they come ─► UnfinishedMessages
//
// Threads  the session's loop
// Owns     nothing: unused bytes are offered again with the next read
// Errors   an impossible header ends the session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_

#include <cstddef>
#include <string_view>

#include "weft/core/block.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class HandshakePhase;
class InboundTable;
class Leaving;
class LifeWatch;
class ReplyReader;
class StreamReader;
class UnfinishedMessages;

class FrameDemultiplexer {
 public:
  explicit FrameDemultiplexer(SessionShared& shared);

  size_t max_frame() const { return max_frame_; }

  // Returns the number of bytes used. Bytes after a fault, or after the decision to end, are
  // ignored.
  size_t Take(const BlockRef& block, const char* data, size_t size, InputNeed* need) WEFT_LOOP_ONLY;
  // False: more bytes are needed, or the header was wrong and the connection was failed.
  bool TakeHeader(const char* data, size_t size, FrameHeader* header,
                  InputNeed* need) WEFT_LOOP_ONLY;
  // Room to reserve for a frame of `whole` bytes of which `size` have come: all of it for a known
  // peer's frame of usual length; else room that grows with the bytes that come, so a header alone
  // takes no memory.
  size_t RoomOfHalf(size_t whole, size_t size) const WEFT_LOOP_ONLY;
  void TakePing(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;

 private:
  size_t TakeFrame(const BlockRef& block, const char* data, size_t size,
                   InputNeed* need) WEFT_LOOP_ONLY;
  void TakeOther(const BlockRef& block, const FrameHeader& header,
                 std::string_view body) WEFT_LOOP_ONLY;

  SessionShared& shared_;
  const size_t max_frame_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_
