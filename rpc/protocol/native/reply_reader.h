// Reads the replies to this side's calls. Replies of one read are gathered, so that one lock of the
// link's mutex takes all of their calls out of the table.
//
//   TakeResponse ─► ready ─► Complete, at the latest behind the read ─► OutboundCall::End
//                ─► the first piece of a large one ─► UnfinishedMessages ─► CompleteWhole
//
// Other frames about calls ask for Complete first, so that events keep the order of the wire.
//
// Threads  the session's loop
// Owns     views into the bytes being read
// Errors   an error reply ends its call; a breach of the protocol ends the session
// Ends     after Complete no reply waits; its callbacks may end the session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_
#define WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "weft/core/block.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/outbound_call.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class CallEnder;
class UnfinishedMessages;

class ReplyReader {
 public:
  explicit ReplyReader(SessionShared& shared) : shared_(shared) {}

  // The block being read; null after the read.
  void SetInput(const BlockRef* block) WEFT_LOOP_ONLY { input_ = block; }
  void TakeResponse(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;
  // Initial metadata of a call of this side; it must precede all else from the server about the
  // call.
  void TakeHeaders(const FrameHeader& header, std::string_view body) WEFT_LOOP_ONLY;
  // Ends the calls whose replies are ready.
  void Complete() WEFT_LOOP_ONLY {
    if (!ready_.empty()) CompleteReady();
  }
  // Ends a call whose reply came in pieces and is whole in `block`.
  void CompleteWhole(const FrameHeader& header, const ResponseFrame& frame,
                     const BlockRef& block) WEFT_LOOP_ONLY;
  // Gives memory back.
  void Trim() WEFT_LOOP_ONLY;

 private:
  static constexpr size_t kBatch = 64;

  struct Ready {
    explicit Ready(const FrameHeader& of) : header(of) {}
    FrameHeader header;
    ResponseFrame frame;
  };

  void CompleteReady() WEFT_LOOP_ONLY;
  void CompleteOne(OutboundCall* call, const FrameHeader& header,
                   const ResponseFrame& frame) WEFT_LOOP_ONLY;
  void CompleteSlow(OutboundCall& call, const FrameHeader& header,
                    const ResponseFrame& frame) WEFT_LOOP_ONLY;
  // True if a reply may come before its call's unfinished message is whole. False: the connection
  // was failed.
  bool MayEndNow(const FrameHeader& header) WEFT_LOOP_ONLY;
  void BeginMessage(const FrameHeader& header, const ResponseFrame& frame) WEFT_LOOP_ONLY;

  SessionShared& shared_;

  std::vector<Ready> ready_ WEFT_LOOP_OWNED;
  std::vector<Ready> spare_ WEFT_LOOP_OWNED;  // always empty; kept for its memory
  const BlockRef* input_ WEFT_LOOP_OWNED = nullptr;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_REPLY_READER_H_
