// The replies to this side's calls, gathered while the bytes of one read are looked through, so
// that all of them are taken out of the link's table under one mutex.
//
//   TakeResponse ─► ready ─► Complete, at the latest behind the read ─► OutboundCall::End
//                ─► the first piece of a large one ─► UnfinishedMessages ─► CompleteWhole
//
// Whatever else concerns a call asks for Complete first: what came before it is heard before it.
//
// Threads  the session's loop
// Owns     views into the bytes that are being looked through
// Errors   an error reply is the end of its call; what breaks the protocol ends the session
// Ends     Complete leaves nothing; its callbacks may end the session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::native {

class CallEnder;
class UnfinishedMessages;

class ReplyReader {
 public:
  explicit ReplyReader(SessionShared& shared) : shared_(shared) {}

  // The block whose bytes are looked through; null when that is over.
  void SetInput(const BlockRef* block) LOOP_ONLY { input_ = block; }
  void TakeResponse(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  // Initial metadata of a call of ours: before everything else that its server says of it.
  void TakeHeaders(const FrameHeader& header, std::string_view body) LOOP_ONLY;
  // Ends the calls whose replies are ready.
  void Complete() LOOP_ONLY {
    if (!ready_.empty()) CompleteReady();
  }
  // Ends a call whose reply came in pieces, and is whole in `block`.
  void CompleteWhole(const FrameHeader& header, const ResponseFrame& frame,
                     const BlockRef& block) LOOP_ONLY;
  // Gives back memory.
  void Trim() LOOP_ONLY;

 private:
  static constexpr size_t kBatch = 64;

  struct Ready {
    explicit Ready(const FrameHeader& of) : header(of) {}
    FrameHeader header;
    ResponseFrame frame;
  };

  void CompleteReady() LOOP_ONLY;
  void CompleteOne(OutboundCall* call, const FrameHeader& header,
                   const ResponseFrame& frame) LOOP_ONLY;
  void CompleteSlow(OutboundCall& call, const FrameHeader& header,
                    const ResponseFrame& frame) LOOP_ONLY;
  // Whether a reply may come before the last piece of what its call receives. False: the connection
  // was failed.
  bool MayEndNow(const FrameHeader& header) LOOP_ONLY;
  void BeginMessage(const FrameHeader& header, const ResponseFrame& frame) LOOP_ONLY;

  SessionShared& shared_;

  std::vector<Ready> ready_ LOOP_OWNED;
  std::vector<Ready> spare_ LOOP_OWNED;  // empty; keeps its memory
  const BlockRef* input_ LOOP_OWNED = nullptr;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_
