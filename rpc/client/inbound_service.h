// Everything that a channel needs to serve calls of its server: who may make them, where they go,
// and their end.
//
// EndpointConnection makes one with its first connection, if its channel offers services, and keeps
// it for all later ones.
//
// Threads  loop-only
// Owns     the sink and the pool; shares the authenticator's queue
// Ends     Drain calls back when every call has been answered and every handler has returned
#ifndef WEFT_RPC_CLIENT_INBOUND_SERVICE_H_
#define WEFT_RPC_CLIENT_INBOUND_SERVICE_H_

#include <functional>
#include <memory>

#include "weft/core/event_loop.h"
#include "weft/core/gate.h"
#include "weft/core/loop_bell.h"
#include "weft/rpc/call/call_pool.h"
#include "weft/rpc/call/inbound_sink.h"
#include "weft/rpc/protocol/authentication_queue.h"
#include "weft/rpc/protocol/call_authentication.h"

namespace weft::internal {

class InboundService : public std::enable_shared_from_this<InboundService> {
 public:
  // Makes one on a channel's loop; null: the channel serves nothing.
  using Maker =
      std::function<std::shared_ptr<InboundService>(const std::shared_ptr<EventLoop>& loop)>;
  // Runs its argument once, on any thread, when no handler runs any more. Called when every call
  // has been answered.
  using WhenQuiet = std::function<void(Gate::Callback quiet)>;

  InboundService(const std::shared_ptr<EventLoop>& loop, std::unique_ptr<InboundSink> sink,
                 std::shared_ptr<CallPool> calls, WhenQuiet when_quiet,
                 std::shared_ptr<AuthenticationQueue> authentications = nullptr);
  ~InboundService();

  InboundSink* sink() WEFT_LOOP_ONLY { return sink_.get(); }
  const std::shared_ptr<CallPool>& pool() WEFT_LOOP_ONLY { return pool_; }
  // For the calls of one connection, before the sink; null: every server may make them.
  std::unique_ptr<CallAuthentication> Authenticating(
      IoThread& io, const TransportIdentity& transport) WEFT_LOOP_ONLY;

  // Begins the end. No session hands calls to it any more.
  void Drain(std::function<void()> done) WEFT_LOOP_ONLY;

 private:
  void ContinueDrain() WEFT_LOOP_ONLY;

  const std::shared_ptr<EventLoop> loop_;
  const std::unique_ptr<InboundSink> sink_;
  const std::shared_ptr<CallPool> pool_;
  const WhenQuiet when_quiet_;
  const std::shared_ptr<AuthenticationQueue> authentications_;
  const std::shared_ptr<LoopBell> bell_;  // rung when calls come back, while it drains
  std::function<void()> done_ WEFT_LOOP_OWNED;
  std::shared_ptr<InboundService> self_ WEFT_LOOP_OWNED;  // while it drains
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_INBOUND_SERVICE_H_
