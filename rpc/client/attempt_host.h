// The side of a CallStarter that the attempts of a call need.
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

namespace weft::internal {

class CallDriver;

class AttemptHost {
 public:
  // Sends it; its end follows exactly once, on the loop of its link and not inside SendAttempt,
  // unless that loop has closed.
  WEFT_ANY_THREAD virtual void SendAttempt(OutboundCall& attempt) = 0;
  // An attempt has ended that was sent over link number `link`; 0: over none.
  virtual void Report(uint64_t link, const CallEnd& end, Nanos took) {
    (void)link, (void)end, (void)took;
  }

  // True on the home loop's thread.
  WEFT_ANY_THREAD virtual bool InHome() const = 0;
  // Runs `task` on the home loop, later. Never, if the loop has closed.
  WEFT_ANY_THREAD virtual void Post(std::function<void()> task) = 0;
  // Like Post, but if the loop has closed `task` still runs: with `closed`, on any thread.
  WEFT_ANY_THREAD virtual void PostEnd(std::function<void(bool closed)> task) = 0;
  WEFT_ANY_THREAD virtual MonoTime Now() const = 0;
  // The reason why attempts are in vain from now on; empty: there is none.
  WEFT_ANY_THREAD virtual std::string_view WhyOver() const = 0;

  // Calls CallDriver::OnDeadline at `at`, or CallDriver::OnChannelClosed before that. One wake-up
  // at a time. DontWake may be called also when the wake-up has come, or was never asked for.
  virtual void WakeAt(CallDriver& driver, MonoTime at) = 0;
  virtual void DontWake(CallDriver& driver) = 0;

 protected:
  ~AttemptHost() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ATTEMPT_HOST_H_
