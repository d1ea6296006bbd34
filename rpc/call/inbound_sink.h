// Takes the calls that a session receives: the way from a protocol to services.
//
// Threads  loop-only, one sink a loop
#ifndef WEFT_RPC_CALL_INBOUND_SINK_H_
#define WEFT_RPC_CALL_INBOUND_SINK_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft {

class CallOrigin;
class InboundCall;
struct BoundMethod;

class InboundSink {
 public:
  virtual ~InboundSink() = default;

  // The method of that full name ("demo.Greeter/Say"); nullptr when there is none. Lives as long as
  // the sink.
  virtual const BoundMethod* Find(std::string_view full_name) LOOP_ONLY = 0;
  // Why there is none: UNIMPLEMENTED, naming what there is.
  virtual absl::Status Unknown(std::string_view full_name) LOOP_ONLY = 0;
  // The first piece of a request that comes in several: OnCall follows when the last is there, or
  // the call is refused before. For what has to know the order in which calls began.
  virtual void OnCallBegins(InboundCall&) LOOP_ONLY {}
  // A call to answer, with its whole request. Kept until the turn's end, so that all go to the
  // workers at once.
  virtual void OnCall(InboundCall& call) LOOP_ONLY = 0;
  // `size` bytes of a block have been looked through; calls that came since the last time may refer
  // to it.
  virtual void OnLookedThrough(size_t size) LOOP_ONLY { (void)size; }
  // Such a call was cancelled. One that still waits to be run may be answered at once.
  virtual void OnCancelled(InboundCall&) LOOP_ONLY {}
  // The same of all calls that came from there.
  virtual void OnAllCancelled(CallOrigin&) LOOP_ONLY {}
};

}  // namespace weft

#endif  // WEFT_RPC_CALL_INBOUND_SINK_H_
