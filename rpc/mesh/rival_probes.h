// Probes whether a session is alive, within a time limit. SessionDesk asks when another process
// comes with the name of that session's peer.
//
// Threads  any: Ask. Gone: its loop
// Owns     the open questions, with their timers
// Ends     each `done` runs once, on the loop it was asked for, unless that loop has gone
#ifndef WEFT_RPC_MESH_RIVAL_PROBES_H_
#define WEFT_RPC_MESH_RIVAL_PROBES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "weft/core/clock.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/rpc/mesh/mesh_loops.h"

namespace weft::internal {

class RivalProbes : public std::enable_shared_from_this<RivalProbes> {
 public:
  using Done = std::function<void(bool alive)>;

  explicit RivalProbes(std::shared_ptr<MeshLoops> loops) : loops_(std::move(loops)) {}

  // Adds a loop, before the first question.
  void Add() { open_.push_back(std::make_unique<OfLoop>()); }
  // Asks for a session on loop `loop`. A session that has ended is not alive. If the rival is being
  // probed already, that answer serves this question, too.
  WEFT_ANY_THREAD void Ask(size_t loop, const SessionRef& rival, Nanos limit, Done done);
  void Gone(size_t loop) WEFT_LOOP_ONLY;

 private:
  struct Question {
    std::unique_ptr<Timer> timer;
    std::vector<Done> done;
  };
  // The questions of one loop, used on that loop only.
  struct OfLoop {
    std::map<uint64_t, Question> open WEFT_LOOP_OWNED;  // by rival
  };

  void Open(size_t loop, const SessionRef& rival, Nanos limit, Done done) WEFT_LOOP_ONLY;
  void Answer(size_t loop, uint64_t rival, bool alive) WEFT_LOOP_ONLY;

  const std::shared_ptr<MeshLoops> loops_;
  std::vector<std::unique_ptr<OfLoop>> open_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_RIVAL_PROBES_H_
