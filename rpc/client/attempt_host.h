// What the attempts of a call need from their channel.
//
// Threads  any; WakeAt, DontWake: the channel's loop
#ifndef WEFT_RPC_CLIENT_ATTEMPT_HOST_H_
#define WEFT_RPC_CLIENT_ATTEMPT_HOST_H_

#include <functional>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class CallDriver;

class AttemptHost {
 public:
  // Sends it; its end follows exactly once, on the loop and not inside SendAttempt, unless the loop
  // has closed.
  ANY_THREAD virtual void SendAttempt(OutboundCall& attempt) = 0;
  // On the loop, later; not at all when the loop has closed.
  ANY_THREAD virtual void Post(std::function<void()> task) = 0;
  ANY_THREAD virtual MonoTime Now() const = 0;
  // Whether attempts are in vain from now on.
  ANY_THREAD virtual bool closed() const = 0;

  // CallDriver::OnDeadline at `at`, or CallDriver::OnChannelClosed before it. One at a time.
  // On the loop; DontWake also when it has come or was never asked for.
  virtual void WakeAt(CallDriver& driver, MonoTime at) = 0;
  virtual void DontWake(CallDriver& driver) = 0;

 protected:
  ~AttemptHost() = default;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_ATTEMPT_HOST_H_
