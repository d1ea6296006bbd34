// The messages of a native session that come in pieces: reads their DATA frames, hands on whole
// messages, and ends the calls of messages that stay unfinished.
//
//   Begin ─► DATA frames: BeginData ─► TakeData, or straight into place: WantDirect, OnDirect
//         ─► whole: to its stream, its call or its reply
//         ─► Drop: nobody waits for it; or late: its call ends
//
// Threads  the session's loop
// Owns     the blocks of unfinished messages (reassembler.h), and the timer for late ones
// Errors   pieces that do not fit end the session; a message without memory ends its call
// Ends     Stop, then EndAll
#ifndef WEFT_RPC_PROTOCOL_NATIVE_UNFINISHED_MESSAGES_H_
#define WEFT_RPC_PROTOCOL_NATIVE_UNFINISHED_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weft/core/block_pool.h"
#include "weft/core/connection.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/protocol/native/reassembler.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class CallEnder;
class InboundTable;
class ReplyReader;
class StreamReader;

class UnfinishedMessages {
 public:
  UnfinishedMessages(SessionShared& shared, BlockPool& blocks) : shared_(shared), blocks_(blocks) {}

  bool empty() const WEFT_LOOP_ONLY { return assembly_ == nullptr || assembly_->empty(); }
  // Null: none.
  Assembly* Find(uint64_t id, bool reply) WEFT_LOOP_ONLY {
    return assembly_ != nullptr ? assembly_->Find(id, reply) : nullptr;
  }
  // Begins a message with the first bytes in `payload`; its call has none here yet.
  absl::StatusOr<Assembly*> Begin(uint64_t id, bool reply, const Payload& payload) WEFT_LOOP_ONLY;
  // A message has begun. Watches for its lateness; `deadline`: of a call that nothing else ends in
  // time, else kNever.
  void WatchForLate(MonoTime deadline) WEFT_LOOP_ONLY;
  // Drops a message that nobody waits for. Its remaining bytes are read and dropped.
  void Drop(uint64_t id, bool reply) WEFT_LOOP_ONLY;
  // Stop: no more input. EndAll: refuses requests that did not become whole.
  void Stop() WEFT_LOOP_ONLY;
  void EndAll(const absl::Status& why) WEFT_LOOP_ONLY;

  // ---- DATA frames
  // Begins a DATA frame; returns the bytes used, 0: the connection was failed.
  size_t BeginData(const FrameHeader& header) WEFT_LOOP_ONLY;
  // Bytes of the present frame that are still to come.
  size_t data_left() const WEFT_LOOP_ONLY { return data_left_; }
  // Takes bytes of the frame that came together with others.
  size_t TakeData(const char* data, size_t size) WEFT_LOOP_ONLY;
  // Lets the connection read the rest of a piece straight into its message, as far as there is
  // room. Behind it only the next piece's header is read along, so that the next piece can be read
  // straight, too.
  void WantDirect(InputNeed* need) WEFT_LOOP_ONLY;
  void OnDirect(size_t direct) WEFT_LOOP_ONLY;

 private:
  void EndData() WEFT_LOOP_ONLY;
  void FinishStreamMessage(Assembly& assembly) WEFT_LOOP_ONLY;
  void FinishReply() WEFT_LOOP_ONLY;
  void FinishRequest(Assembly& assembly) WEFT_LOOP_ONLY;
  // Ends the call of a message that will not become whole.
  void End(uint64_t id, bool reply, const absl::Status& why) WEFT_LOOP_ONLY;
  void EndLate() WEFT_LOOP_ONLY;
  void EndOneLate(const Reassembler::Late& late, MonoTime now) WEFT_LOOP_ONLY;

  SessionShared& shared_;
  BlockPool& blocks_;

  // Made for the first message: most connections never have one in pieces.
  std::unique_ptr<Reassembler> assembly_ WEFT_LOOP_OWNED;
  std::unique_ptr<Timer> late_timer_ WEFT_LOOP_OWNED;
  FrameHeader data_header_ WEFT_LOOP_OWNED;
  bool late_piece_ WEFT_LOOP_OWNED = false;  // the reply's call ended while this piece was read
  uint32_t data_left_ WEFT_LOOP_OWNED = 0;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_UNFINISHED_MESSAGES_H_
