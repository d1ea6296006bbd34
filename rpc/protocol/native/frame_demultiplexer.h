// Cuts the bytes of a peer that is known into frames, and hands each to the part of the session
// that it concerns.
//
//   bytes ─► header, checked ─► whole frame ─► InboundTable, ReplyReader, StreamReader, Leaving …
//                            ─► DATA: its bytes as they come ─► UnfinishedMessages
//
// Threads  the session's loop
// Owns     nothing: what is not used comes again
// Errors   a header that cannot be ends the session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_

#include <cstddef>
#include <string_view>

#include "weft/core/block.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::native {

class HandshakePhase;
class InboundTable;
class Leaving;
class ReplyReader;
class StreamReader;
class UnfinishedMessages;

class FrameDemultiplexer {
 public:
  explicit FrameDemultiplexer(SessionShared& shared);

  size_t max_frame() const { return max_frame_; }

  // Returns how many bytes were used. What comes behind a fault, or after the end was decided, is
  // not looked at.
  size_t Take(const BlockRef& block, const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  // False: more bytes are needed, or the header was wrong and the connection was failed.
  bool TakeHeader(const char* data, size_t size, FrameHeader* header, InputNeed* need) LOOP_ONLY;
  // Room for a frame of `whole` bytes of which `size` have come: all of it where it is as long as
  // most are and its sender is known; else it grows with what comes.
  size_t RoomOfHalf(size_t whole, size_t size) const LOOP_ONLY;
  void TakePing(const FrameHeader& header) LOOP_ONLY;

 private:
  size_t TakeFrame(const BlockRef& block, const char* data, size_t size, InputNeed* need) LOOP_ONLY;
  void TakeWholeFrame(const BlockRef& block, const FrameHeader& header,
                      std::string_view body) LOOP_ONLY;

  SessionShared& shared_;
  const size_t max_frame_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_FRAME_DEMULTIPLEXER_H_
