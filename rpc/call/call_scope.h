// Holds what calls made inside a handler inherit from the call that it serves: its deadline and its
// cancelling.
//
// While a handler runs, its scope is the current one of its thread; a coroutine takes it along to
// wherever it resumes. A call started in a scope ends no later than the scope's deadline, and is
// cancelled with it: by the caller, by the end of its connection.
//
// Made by its InboundCall at the first use. A blocking handler that makes no calls and asks for no
// token never has one.
//
// Threads  any; Current and Enter: the calling thread's own
// Owns     its stop source; shared by the served call and by the calls started in it
// Ends     outlives the served call harmlessly: after the answer it is not stopped any more
#ifndef WEFT_RPC_CALL_CALL_SCOPE_H_
#define WEFT_RPC_CALL_CALL_SCOPE_H_

#include <memory>
#include <stop_token>
#include <utility>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"

namespace weft::internal {

class InboundCall;

class WEFT_ANY_THREAD CallScope {
 public:
  explicit CallScope(MonoTime deadline) : deadline_(deadline) {}
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  MonoTime deadline() const { return deadline_; }
  std::stop_token stop_token() const { return stop_.get_token(); }
  // Runs the callbacks of its tokens, on this thread. Later ones do nothing.
  void Stop() { stop_.request_stop(); }

  // The scope of the handler that this thread runs; null outside of handlers.
  static std::shared_ptr<CallScope> Current();

  // Makes a scope the current one of this thread for a while. A call's scope is made when it is
  // first asked for, so handlers that make no calls pay nothing for it.
  class Enter {
   public:
    explicit Enter(InboundCall& call);
    explicit Enter(std::shared_ptr<CallScope> scope);
    ~Enter();
    Enter(const Enter&) = delete;
    Enter& operator=(const Enter&) = delete;

   private:
    friend class CallScope;
    InboundCall* const call_ = nullptr;
    const std::shared_ptr<CallScope> scope_;
    Enter* const outer_;
  };

 private:
  const MonoTime deadline_;
  std::stop_source stop_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_CALL_SCOPE_H_
