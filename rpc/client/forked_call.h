// A call in a process that was forked from that of its target: none of the target's threads is
// there, so the call ends where it begins.
//
// Threads  any
#ifndef WEFT_RPC_CLIENT_FORKED_CALL_H_
#define WEFT_RPC_CLIENT_FORKED_CALL_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "weft/core/fork_guard.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft::internal {

class ForkedCall {
 public:
  static void Refuse(OutboundCall& call) {
    CallEnd end;
    end.may_have_been_executed = false;
    end.by = CallEnd::By::kChannel;
    end.status = ForkGuard::Refused(absl::StrCat("call ", std::string(call.method.full_name)));
    call.End(end);
  }
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_FORKED_CALL_H_
