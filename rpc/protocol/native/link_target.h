// Calls over one connection, to whoever is at its other end: what a handler calls its caller with.
//
// Nothing is waited for and nothing tried again: when the connection is gone, so is its target.
//
// Threads  any
// Owns     nothing; is a part of its link, whose memory it shares
// Errors   UNAVAILABLE once the connection has ended or goes away
#ifndef WEFT_RPC_PROTOCOL_NATIVE_LINK_TARGET_H_
#define WEFT_RPC_PROTOCOL_NATIVE_LINK_TARGET_H_

#include "absl/status/status.h"
#include "weft/core/fork_guard.h"
#include "weft/rpc/call/call_target.h"

namespace weft::native {

class NativeLink;

class LinkTarget final : public CallTarget {
 public:
  explicit LinkTarget(NativeLink& link) : link_(link) {}
  void Start(OutboundCall& call) override;

 private:
  void CompleteLater(OutboundCall& call, absl::Status status);

  NativeLink& link_;
  const ForkGuard home_;
};

}  // namespace weft::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_LINK_TARGET_H_
