#include "weft/rpc/mesh/pair_slot.h"

#include "weft/core/check.h"

namespace weft::internal {

void PairSlot::SetState(State to) {
  WEFT_DCHECK(MayGo(state_, to));
  state_ = to;
}

uint64_t PairSlot::BeginDial() {
  SetState(State::kDialling);
  return ++last_dial_;
}

// A dial and a held connection are independent: the peer may have connected while this node
// dialled.
void PairSlot::EndDial() { SetState(state_ == State::kHeldDialling ? State::kHeld : State::kNone); }

void PairSlot::Heard(uint64_t incarnation, uint64_t number) {
  // Pair::Accept refuses every other number.
  WEFT_DCHECK(Rises(incarnation, number));
  heard_incarnation_ = incarnation;
  highest_heard_ = number;
}

PairSlot::Choice PairSlot::Choose(const Candidate& candidate) {
  WEFT_DCHECK(candidate.id != 0 && candidate.id != held_.id);
  Choice choice;
  // Nothing is held: there is nobody to compare with, and `choice` says that the candidate stays.
  if (!holds()) {
    SetHeld(candidate);
    return choice;
  }
  // Numbers of different incarnations do not compare: a restarted peer begins at 1 again.
  if (candidate.incarnation == held_.incarnation) {
    const TieBreak tie = BreakTie(candidate.facts, held_.facts);
    choice.stays = tie.first_stays;
    choice.how = tie.other;
  }
  choice.beaten = choice.stays ? held_.id : candidate.id;
  if (choice.stays) held_ = candidate;
  return choice;
}

void PairSlot::SetHeld(const Candidate& candidate) {
  SetState(state_ == State::kDialling ? State::kHeldDialling : State::kHeld);
  held_ = candidate;
}

bool PairSlot::Lost(uint64_t id) {
  // A beaten connection ends while the winner is held: its end must not take the winner away.
  if (!holds() || held_.id != id) return false;
  SetState(state_ == State::kHeldDialling ? State::kDialling : State::kNone);
  held_ = Candidate();
  return true;
}

}  // namespace weft::internal
