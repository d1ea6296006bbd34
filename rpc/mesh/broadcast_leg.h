// The call of a broadcast to one peer. BroadcastRound constructs all its legs in the memory behind
// itself and destroys them with itself.
//
// Threads  as OutboundCall; the handle: under its round's mutex
// Owns     nothing: it lives in its round's memory
#ifndef WEFT_RPC_MESH_BROADCAST_LEG_H_
#define WEFT_RPC_MESH_BROADCAST_LEG_H_

#include <cstddef>
#include <utility>

#include "weft/rpc/call/call_handle.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal {

class BroadcastLeg;

// The round, as its legs see it.
class LegOwner {
 public:
  // The call can be cancelled through `handle` from now on.
  virtual void OnLegStarted(BroadcastLeg& leg, CallHandle handle) = 0;
  // True while somebody still waits for the leg's end. Asked before a retry.
  virtual bool WantsLeg() = 0;
  // Called last, once. May destroy the leg, and the round with it.
  virtual void OnLegEnded(BroadcastLeg& leg, const CallEnd& end) = 0;

 protected:
  ~LegOwner() = default;
};

class BroadcastLeg final : public OutboundCall {
 public:
  BroadcastLeg(LegOwner& owner, size_t index, const MethodInfo& called,
               const google::protobuf::MessageLite& message, const CallOptions& wishes)
      : OutboundCall(called, message, wishes), owner_(owner), index_(index) {}

  size_t index() const { return index_; }

  bool wants_handle() const override { return true; }
  void Started(CallHandle handle) override { owner_.OnLegStarted(*this, std::move(handle)); }
  bool PrepareAgain() override { return owner_.WantsLeg() && OutboundCall::PrepareAgain(); }

  // By the owner, under its mutex.
  void SetHandle(CallHandle handle) {
    OutboundCall::Started(handle);
    handle_ = std::move(handle);
  }
  CallHandle TakeHandle() { return std::exchange(handle_, CallHandle()); }

 private:
  void Complete(const CallEnd& end) override { owner_.OnLegEnded(*this, end); }

  LegOwner& owner_;
  const size_t index_;
  CallHandle handle_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_BROADCAST_LEG_H_
