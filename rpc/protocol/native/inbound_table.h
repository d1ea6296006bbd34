// The peer's calls on a native session: those under way, by number, and the methods that it has
// bound.
//
//   TakeRequest ─► refused: answered at once        TakeCancel, a deadline, EndCall ─► cancelled
//               ─► an InboundCall, in the table ─► InboundSink ─► … ─► OnCallReturned: out of it
//
// A call stays in the table until its pool has collected it, which is after its answer.
//
// Threads  the session's loop
// Owns     the methods bound; the calls stay their pool's
// Errors   what concerns one call answers it; what breaks the protocol ends the session
// Ends     Clear: calls that are still out are nobody's
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

namespace weft::native {

class Leaving;
class UnfinishedMessages;

class InboundTable {
 public:
  InboundTable(SessionShared& shared, Compression reply_codec)
      : shared_(shared), reply_codec_(reply_codec) {}

  // ---- frames
  void TakeRequest(const BlockRef& block, const FrameHeader& header,
                   std::string_view body) LOOP_ONLY;
  // The caller has given up: what is left of its messages will not come.
  void TakeCancel(uint64_t id) LOOP_ONLY;
  // How long ago came what is being taken: before the verdict on its peer.
  void SetHeldFor(Nanos held_for) LOOP_ONLY { held_for_ = held_for; }

  // ---- calls
  InboundCall* Find(uint64_t id) const LOOP_ONLY { return calls_.Find(id); }
  // Whether the peer has begun a call of this number.
  bool EverBegun(uint64_t id) const LOOP_ONLY { return id > 0 && id <= last_id_; }
  size_t size() const LOOP_ONLY { return calls_.size(); }
  uint64_t last_id() const LOOP_ONLY { return last_id_; }
  // Calls that were ever in the table.
  uint64_t taken() const LOOP_ONLY { return taken_; }
  // What came on the call's stream cannot be taken: it ends, on both sides.
  void EndCall(uint64_t id, const absl::Status& why) LOOP_ONLY;
  // Marks all as cancelled.
  void CancelAll() LOOP_ONLY;
  void Clear() LOOP_ONLY;
  // Gives back memory where there is none.
  void Trim() LOOP_ONLY { calls_.Trim(); }

  // ---- from the link, on the loop
  // The call is back in its pool. The table may be gone when it returns.
  void OnCallReturned(InboundCall& call) LOOP_ONLY;
  // Marks the call as cancelled when its deadline comes.
  void WatchDeadline(uint64_t id) LOOP_ONLY;

 private:
  const BoundMethod* BoundAlready(const FrameHeader& header,
                                  const RequestFrame& frame) const LOOP_ONLY;
  const BoundMethod* Admit(const FrameHeader& header, const RequestFrame& frame) LOOP_ONLY;
  absl::Status AdmitRequest(const RequestFrame& frame, uint64_t id) LOOP_ONLY;
  bool BindName(uint16_t number, std::string_view name, const BoundMethod** bound,
                std::string* unknown) LOOP_ONLY;
  void OpenStream(InboundCall& call) LOOP_ONLY;
  void BeginMessage(InboundCall& call, const FrameHeader& header, const Payload& payload) LOOP_ONLY;

  SessionShared& shared_;
  const Compression reply_codec_;

  uint64_t last_id_ LOOP_OWNED = 0;
  uint64_t taken_ LOOP_OWNED = 0;
  Nanos held_for_ LOOP_OWNED{};
  IdTable<InboundCall> calls_ LOOP_OWNED;
  BoundMethods methods_ LOOP_OWNED;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_INBOUND_TABLE_H_
