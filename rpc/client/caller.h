// The target with which a handler calls its caller. Its calls go over the connection that the
// handler's call came on, and have everything that a channel's calls have but a second connection.
//
// Threads  any
// Owns     its CallStarter; its link owns it (CallerSlot)
// Errors   UNAVAILABLE once the connection has ended or goes away
// Ends     calls end with their connection. In a process forked from its own, calls end with
//          FAILED_PRECONDITION inside Start
#ifndef WEFT_RPC_CLIENT_CALLER_H_
#define WEFT_RPC_CLIENT_CALLER_H_

#include <memory>

#include "weft/core/fork_guard.h"
#include "weft/core/loop_group.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/call_target.h"
#include "weft/rpc/call/caller_slot.h"
#include "weft/rpc/client/call_starter.h"
#include "weft/rpc/client/only_link.h"
#include "weft/rpc/client/start_config.h"

namespace weft::internal {

class Caller final : public CallTarget {
 public:
  // For the links of one loop, `io`'s.
  static CallerMaker Maker(IoThread& io, std::shared_ptr<const StartConfig> config);

  Caller(IoThread& io, std::shared_ptr<const StartConfig> config,
         const std::shared_ptr<CallLink>& link);

  void Start(OutboundCall& call) override;

 private:
  const ForkGuard home_;
  OnlyLink source_;
  CallStarter starter_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_CALLER_H_
