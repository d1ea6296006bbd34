// Takes the calls that a session receives: the way from a protocol to services.
//
// Threads  loop-only, one sink a loop
#ifndef WEFT_RPC_CALL_INBOUND_SINK_H_
#define WEFT_RPC_CALL_INBOUND_SINK_H_

#include <cstddef>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class CallOrigin;
class InboundCall;
struct BoundMethod;

class InboundSink {
 public:
  virtual ~InboundSink() = default;

  // Returns the method of that full name ("demo.Greeter/Say"); nullptr when there is none. Lives as
  // long as the sink.
  virtual const BoundMethod* Find(std::string_view full_name) WEFT_LOOP_ONLY = 0;
  // Returns the error for an unknown method: UNIMPLEMENTED, naming the methods that there are.
  virtual absl::Status Unknown(std::string_view full_name) WEFT_LOOP_ONLY = 0;
  // The first piece of a large request has come. OnCall follows when the last one is there, unless
  // the call is refused before. For sinks that must know the order in which calls began.
  virtual void OnCallBegins(InboundCall&) WEFT_LOOP_ONLY {}
  // A call to answer, with its whole request. Kept until the turn's end, so that all go to the
  // workers at once.
  virtual void OnCall(InboundCall& call) WEFT_LOOP_ONLY = 0;
  // `size` bytes of a block have been looked through; calls that came since the last time may refer
  // to it.
  virtual void OnLookedThrough(size_t size) WEFT_LOOP_ONLY { (void)size; }
  // A call was cancelled. If it still waits to be run it may be answered at once.
  virtual void OnCancelled(InboundCall&) WEFT_LOOP_ONLY {}
  // All calls of that origin were cancelled.
  virtual void OnAllCancelled(CallOrigin&) WEFT_LOOP_ONLY {}
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_INBOUND_SINK_H_
