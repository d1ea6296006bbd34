// The loops of a node's server, for parts of the node that act on any thread. Each action on a
// session is posted to the session's loop.
//
// Threads  any; Add: before the other threads have it
// Owns     a share of each loop
// Ends     Gone, loop by loop: later actions are dropped
#ifndef WEFT_RPC_MESH_MESH_LOOPS_H_
#define WEFT_RPC_MESH_MESH_LOOPS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/loop_group.h"
#include "weft/core/thread_contract.h"
#include "weft/rpc/protocol/close_reason.h"
#include "weft/rpc/server/node_loop.h"
#include "weft/rpc/server/session_hooks.h"

namespace weft::internal {

class WEFT_ANY_THREAD MeshLoops : public std::enable_shared_from_this<MeshLoops> {
 public:
  void Add(size_t index, IoThread& io, NodeLoop& node);
  void Gone(size_t index) WEFT_LOOP_ONLY;

  size_t size() const { return entries_.size(); }
  IoThread& io(size_t index) const { return *entries_[index]->io; }
  const std::shared_ptr<EventLoop>& loop(size_t index) const { return entries_[index]->loop; }
  // Null: Gone was called.
  NodeLoop* node(size_t index) const WEFT_LOOP_ONLY { return entries_[index]->node; }
  MonoTime Now() const { return entries_[0]->loop->clock().Now(); }

  // Later, on the session's loop; see NodeLoop.
  void Leave(const SessionRef& session, absl::Status why, Nanos grace);
  void Close(const SessionRef& session, CloseReason reason, absl::Status why);
  // Runs `alive` on the session's loop if the peer answers, or never.
  void Probe(const SessionRef& session, std::function<void()> alive);

 private:
  struct Entry {
    IoThread* io;
    std::shared_ptr<EventLoop> loop;
    // Null once Gone was called.
    NodeLoop* node WEFT_LOOP_OWNED;
  };
  template <typename Act>
  void On(size_t index, Act act);

  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_MESH_LOOPS_H_
