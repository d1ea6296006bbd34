// Brings a node's events to its listener, in order and at a limited rate: for each peer and kind at
// most kBurst at once, then one a second. All kRefused events share one limit. Events over the
// limit are merged: the last one is told later, with the count of the events it stands for.
//
// Threads  any: Push. Stop: the loop
// Owns     the listener and the waiting events
// Ends     Stop: nothing is told after it
#ifndef WEFT_RPC_MESH_NODE_EVENTS_H_
#define WEFT_RPC_MESH_NODE_EVENTS_H_

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "weft/core/clock.h"
#include "weft/core/event_loop.h"
#include "weft/core/mutex.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/mesh/node_event.h"

namespace weft::internal {

class NodeEvents : public std::enable_shared_from_this<NodeEvents> {
 public:
  static constexpr int kBurst = 4;
  static constexpr Nanos kEvery = std::chrono::seconds(1);

  // `listener` may be null. `loop`: where it runs.
  NodeEvents(std::shared_ptr<EventLoop> loop, NodeListener listener);

  WEFT_ANY_THREAD void Push(NodeEvent event) WEFT_EXCLUDES(mu_);
  void Stop() WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);

 private:
  // A token bucket for one peer and kind, and the event that waits for a token. `at`: the time for
  // which `tokens` was reckoned. `coalesced`: events that the waiting one has replaced.
  struct Pace {
    double tokens = kBurst;
    MonoTime at{};
    bool waits = false;
    NodeEvent event = {};
    int coalesced = 0;
  };

  // Gives the listener the events whose time has come.
  void Tell() WEFT_LOOP_ONLY WEFT_EXCLUDES(mu_);
  bool TakeToken(Pace& pace, MonoTime now) WEFT_REQUIRES(mu_);

  const std::shared_ptr<EventLoop> loop_;
  const NodeListener listener_;
  std::unique_ptr<Timer> timer_ WEFT_LOOP_OWNED;
  Mutex mu_;
  std::map<std::pair<std::string, NodeEvent::Kind>, Pace> paces_ WEFT_GUARDED_BY(mu_);
  // Events that have their token, in order.
  std::deque<NodeEvent> ready_ WEFT_GUARDED_BY(mu_);
  // True while a Tell is on its way to the loop.
  bool posted_ WEFT_GUARDED_BY(mu_) = false;
  bool stopped_ WEFT_GUARDED_BY(mu_) = false;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_NODE_EVENTS_H_
