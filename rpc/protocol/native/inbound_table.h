// The peer's calls on a native session: those under way, by number, and the methods that the peer
// has bound.
//
//   TakeRequest ─► refused: answered at once        TakeCancel, a deadline, EndCall ─► cancelled
//               ─► an InboundCall, in the table ─► InboundSink ─► … ─► OnCallReturned: out of it
//
// A call stays in the table until its pool has collected it, after its answer.
//
// Threads  the session's loop
// Owns     the bound methods; the calls belong to their pool
// Errors   a fault of one call answers that call; a breach of the protocol ends the session
// Ends     Clear: calls that are still out no longer belong to a session
#ifndef WEFT_RPC_PROTOCOL_NATIVE_INBOUND_TABLE_H_
#define WEFT_RPC_PROTOCOL_NATIVE_INBOUND_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/block.h"
#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/base/compression.h"
#include "weft/rpc/call/id_table.h"
#include "weft/rpc/call/inbound_call.h"
#include "weft/rpc/protocol/native/bound_methods.h"
#include "weft/rpc/protocol/native/session_shared.h"

namespace weft::internal::native {

class Leaving;
class UnfinishedMessages;

class InboundTable {
 public:
  InboundTable(SessionShared& shared, Compression reply_codec)
      : shared_(shared), reply_codec_(reply_codec) {}

  // ---- frames
  void TakeRequest(const BlockRef& block, const FrameHeader& header,
                   std::string_view body) WEFT_LOOP_ONLY;
  // The caller has given up: the rest of its messages will not come.
  void TakeCancel(uint64_t id) WEFT_LOOP_ONLY;
  // Age of the frames being taken, if they were held before the verdict.
  void SetHeldFor(Nanos held_for) WEFT_LOOP_ONLY { held_for_ = held_for; }

  // ---- calls
  InboundCall* Find(uint64_t id) const WEFT_LOOP_ONLY { return calls_.Find(id); }
  // True if the peer has begun a call with this number.
  bool EverBegun(uint64_t id) const WEFT_LOOP_ONLY { return id > 0 && id <= last_id_; }
  size_t size() const WEFT_LOOP_ONLY { return calls_.size(); }
  uint64_t last_id() const WEFT_LOOP_ONLY { return last_id_; }
  // Number of calls ever put into the table.
  uint64_t taken() const WEFT_LOOP_ONLY { return taken_; }
  // Ends the call on both sides: its stream brought something unacceptable.
  void EndCall(uint64_t id, const absl::Status& why) WEFT_LOOP_ONLY;
  // Marks all as cancelled.
  void CancelAll() WEFT_LOOP_ONLY;
  void Clear() WEFT_LOOP_ONLY;
  // Gives memory back if the table is empty.
  void Trim() WEFT_LOOP_ONLY { calls_.Trim(); }

  // ---- from the link, on the loop
  // The call is back in its pool. The table may be destroyed when this returns.
  void OnCallReturned(InboundCall& call) WEFT_LOOP_ONLY;
  // Marks the call as cancelled when its deadline comes.
  void WatchDeadline(uint64_t id) WEFT_LOOP_ONLY;

 private:
  const BoundMethod* BoundAlready(const FrameHeader& header,
                                  const RequestFrame& frame) const WEFT_LOOP_ONLY;
  const BoundMethod* Admit(const FrameHeader& header, const RequestFrame& frame) WEFT_LOOP_ONLY;
  absl::Status AdmitRequest(const RequestFrame& frame, uint64_t id) WEFT_LOOP_ONLY;
  bool BindName(uint16_t number, std::string_view name, const BoundMethod** bound,
                std::string* unknown) WEFT_LOOP_ONLY;
  void OpenStream(InboundCall& call) WEFT_LOOP_ONLY;
  void ForgetSlow(InboundCall& call) WEFT_LOOP_ONLY;
  void BeginMessage(InboundCall& call, const FrameHeader& header,
                    const Payload& payload) WEFT_LOOP_ONLY;

  SessionShared& shared_;
  const Compression reply_codec_;

  uint64_t last_id_ WEFT_LOOP_OWNED = 0;
  uint64_t taken_ WEFT_LOOP_OWNED = 0;
  Nanos held_for_ WEFT_LOOP_OWNED{};
  IdTable<InboundCall> calls_ WEFT_LOOP_OWNED;
  BoundMethods methods_ WEFT_LOOP_OWNED;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_INBOUND_TABLE_H_
