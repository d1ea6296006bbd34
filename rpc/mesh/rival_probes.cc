#include "weft/rpc/mesh/rival_probes.h"

#include <utility>

namespace weft::internal {

void RivalProbes::Ask(size_t loop, const SessionRef& rival, Nanos limit, Done done) {
  loops_->loop(loop)->Post([self = shared_from_this(), this, loop, rival, limit,
                            done = std::move(done)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) return;
    loops_->loop(loop)->AssertInLoop();
    Open(loop, rival, limit, std::move(done));
  });
}

void RivalProbes::Open(size_t loop, const SessionRef& rival, Nanos limit, Done done) {
  // The asking session has gone with its loop's part, and nobody waits for an answer.
  if (loops_->node(loop) == nullptr) return;
  const uint64_t id = rival.id;
  Question& question = open_[loop]->open[id];
  question.done.push_back(std::move(done));
  // The same rival is probed already: both askers get that answer.
  if (question.timer != nullptr) return;
  // The probe runs on the rival's loop and answers only if the peer is alive. The timer here stands
  // for "no answer".
  question.timer = std::make_unique<Timer>(*loops_->loop(loop), [this, loop, id] {
    loops_->loop(loop)->AssertInLoop();
    Answer(loop, id, /*alive=*/false);
  });
  question.timer->StartAfter(limit);
  loops_->Probe(rival, [self = shared_from_this(), this, loop, id] {
    // The probe answers on the rival's loop, the question belongs to the asker's.
    loops_->loop(loop)->Post([self, this, loop, id](TaskFate fate) {
      if (fate == TaskFate::kCancelled) return;
      loops_->loop(loop)->AssertInLoop();
      Answer(loop, id, /*alive=*/true);
    });
  });
}

void RivalProbes::Answer(size_t loop, uint64_t rival, bool alive) {
  OfLoop& questions = *open_[loop];
  const auto it = questions.open.find(rival);
  // The timer and the probe may both answer. The first one counts.
  if (it == questions.open.end()) return;
  const Question question = std::move(it->second);  // the timer may be firing
  questions.open.erase(it);
  for (const Done& done : question.done) done(alive);
}

void RivalProbes::Gone(size_t loop) { open_[loop]->open.clear(); }

}  // namespace weft::internal
