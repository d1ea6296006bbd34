// What the attempts of a call need from whoever starts them.
//
// Threads  any; WakeAt, DontWake, Report: the home loop
#ifndef WEFT_RPC_CLIENT_ATTEMPT_HOST_H_
#define WEFT_RPC_CLIENT_ATTEMPT_HOST_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class CallDriver;

class AttemptHost {
 public:
  // Sends it; its end follows exactly once, on the loop of its link and not inside SendAttempt,
  // unless that loop has closed.
  ANY_THREAD virtual void SendAttempt(OutboundCall& attempt) = 0;
  // An attempt has ended that was sent over link number `link`; 0: over none.
  virtual void Report(uint64_t link, const CallEnd& end, Nanos took) {
    (void)link, (void)end, (void)took;
  }

  // Whether this is the home loop's thread.
  ANY_THREAD virtual bool InHome() const = 0;
  // On the home loop, later; not at all when that has closed.
  ANY_THREAD virtual void Post(std::function<void()> task) = 0;
  // The same; but where that has closed it is run with `closed`, on any thread.
  ANY_THREAD virtual void PostEnd(std::function<void(bool closed)> task) = 0;
  ANY_THREAD virtual MonoTime Now() const = 0;
  // Why attempts are in vain from now on; empty: they are not.
  ANY_THREAD virtual std::string_view WhyOver() const = 0;

  // CallDriver::OnDeadline at `at`, or CallDriver::OnChannelClosed before it. One at a time.
  // DontWake also when it has come or was never asked for.
  virtual void WakeAt(CallDriver& driver, MonoTime at) = 0;
  virtual void DontWake(CallDriver& driver) = 0;

 protected:
  ~AttemptHost() = default;
};

}  // namespace weft

#endif  // WEFT_RPC_CLIENT_ATTEMPT_HOST_H_
