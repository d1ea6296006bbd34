#include "weft/rpc/mesh/mesh_loops.h"

#include <utility>

#include "weft/core/check.h"

namespace weft::internal {

void MeshLoops::Add(size_t index, IoThread& io, NodeLoop& node) {
  // Later calls find an entry by its index, so loops must come in order.
  WEFT_DCHECK(index == entries_.size());
  (void)index;
  entries_.push_back(std::make_unique<Entry>(Entry{&io, io.loop, &node}));
}

// The entry stays, with its loop: other threads may still post to it.
void MeshLoops::Gone(size_t index) { entries_[index]->node = nullptr; }

template <typename Act>
void MeshLoops::On(size_t index, Act act) {
  // A reference into the entry, which `keep` keeps as long as the task.
  const std::shared_ptr<EventLoop>& loop = entries_[index]->loop;
  loop->Post([keep = shared_from_this(), this, index, &loop, act = std::move(act)](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop->AssertInLoop();
    // Null after Gone: the loop still runs tasks posted before its part of the server went.
    if (NodeLoop* const part = node(index)) act(*part);
  });
}

void MeshLoops::Leave(const SessionRef& session, absl::Status why, Nanos grace) {
  On(session.loop,
     [id = session.id, why = std::move(why), grace, loop = loop(session.loop)](NodeLoop& part) {
       loop->AssertInLoop();
       part.Leave(id, why, grace);
     });
}

void MeshLoops::Close(const SessionRef& session, CloseReason reason, absl::Status why) {
  On(session.loop,
     [id = session.id, reason, why = std::move(why), loop = loop(session.loop)](NodeLoop& part) {
       loop->AssertInLoop();
       part.Close(id, reason, why);
     });
}

void MeshLoops::Probe(const SessionRef& session, std::function<void()> alive) {
  On(session.loop,
     [id = session.id, alive = std::move(alive), loop = loop(session.loop)](NodeLoop& part) {
       loop->AssertInLoop();
       part.Probe(id, alive);
     });
}

}  // namespace weft::internal
