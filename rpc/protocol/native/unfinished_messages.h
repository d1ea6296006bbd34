// The messages of a native session that come in pieces: which of them is being read, what comes of
// those that are whole, and the end of those that will not be.
//
//   Begin ─► DATA frames: BeginData ─► TakeData, or straight into place: WantDirect, OnDirect
//         ─► whole: to its stream, its call or its reply
//         ─► Drop: nobody waits for it; or late: its call ends
//
// Threads  the session's loop
// Owns     the blocks of unfinished messages (reassembler.h), the timer of those that are late
// Errors   pieces that do not fit end the session; a message that finds no memory ends its call
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

namespace weft::native {

class CallEnder;
class InboundTable;
class ReplyReader;
class StreamReader;

class UnfinishedMessages {
 public:
  UnfinishedMessages(SessionShared& shared, BlockPool& blocks) : shared_(shared), blocks_(blocks) {}

  bool empty() const LOOP_ONLY { return assembly_ == nullptr || assembly_->empty(); }
  // Null: there is none.
  Assembly* Find(uint64_t id, bool reply) LOOP_ONLY {
    return assembly_ != nullptr ? assembly_->Find(id, reply) : nullptr;
  }
  // The message whose first bytes `payload` has; its call has none here yet.
  absl::StatusOr<Assembly*> Begin(uint64_t id, bool reply, const Payload& payload) LOOP_ONLY;
  // It has begun, and its call ends at `deadline` where nothing else sees to that.
  void WatchForLate(MonoTime deadline) LOOP_ONLY;
  // Nobody waits for this message any more. What still comes of it is read for nobody.
  void Drop(uint64_t id, bool reply) LOOP_ONLY;
  // The connection is over, and nothing more comes of any. EndAll: requests that did not become
  // whole are refused.
  void Stop() LOOP_ONLY;
  void EndAll(const absl::Status& why) LOOP_ONLY;

  // ---- DATA frames
  // Its header; returns the bytes used, 0: the connection was failed.
  size_t BeginData(const FrameHeader& header) LOOP_ONLY;
  // Of the frame that is being read, bytes that are still to come.
  size_t data_left() const LOOP_ONLY { return data_left_; }
  // Bytes of it that came with others.
  size_t TakeData(const char* data, size_t size) LOOP_ONLY;
  // The rest of a piece is read straight into its message, as far as that has room; behind it,
  // where another piece comes, only the header of that one, so that it can be read so too.
  void WantDirect(InputNeed* need) LOOP_ONLY;
  void OnDirect(size_t direct) LOOP_ONLY;

 private:
  void EndData() LOOP_ONLY;
  void FinishStreamMessage(Assembly& assembly) LOOP_ONLY;
  void FinishReply() LOOP_ONLY;
  void FinishRequest(Assembly& assembly) LOOP_ONLY;
  // The call of a message that will not become whole ends.
  void End(uint64_t id, bool reply, const absl::Status& why) LOOP_ONLY;
  void EndLate() LOOP_ONLY;
  void EndOneLate(const Reassembler::Late& late, MonoTime now) LOOP_ONLY;

  SessionShared& shared_;
  BlockPool& blocks_;

  // With the first message: most connections never have one in pieces.
  std::unique_ptr<Reassembler> assembly_ LOOP_OWNED;
  std::unique_ptr<Timer> late_timer_ LOOP_OWNED;
  FrameHeader data_header_ LOOP_OWNED;
  bool late_piece_ LOOP_OWNED = false;  // its reply's call has ended while it was being read
  size_t data_left_ LOOP_OWNED = 0;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_UNFINISHED_MESSAGES_H_
