// One end's view of one connection slot between two nodes: the dial under way, and the connection
// held. Pair has one for each slot and guards it with its mutex.
//
//   kNone ──BeginDial──► kDialling ──EndDial──► kNone
//   kNone ──Choose──► kHeld ──Lost──► kNone
//   kDialling ──Choose──► kHeldDialling ──EndDial──► kHeld
//   kHeldDialling ──Lost──► kDialling
//
// A node dials only when it holds no connection and is not dialling. When this end knows both
// Hellos of a connection, Choose decides between it and the held one; the other end decides alike
// (tie_break.h). Dial numbers rise as long as this node runs. The peer's numbers count within one
// of its incarnations.
//
// Threads  value
#ifndef WEFT_RPC_MESH_PAIR_SLOT_H_
#define WEFT_RPC_MESH_PAIR_SLOT_H_

#include <cstdint>

#include "weft/rpc/mesh/tie_break.h"

namespace weft::internal {

class PairSlot {
 public:
  enum class State : uint8_t { kNone, kDialling, kHeld, kHeldDialling };
  static constexpr bool MayGo(State from, State to) {
    switch (from) {
      case State::kNone:
        return to == State::kDialling || to == State::kHeld;
      case State::kDialling:
        return to == State::kNone || to == State::kHeldDialling;
      case State::kHeld:
        return to == State::kNone;
      case State::kHeldDialling:
        return to == State::kHeld || to == State::kDialling;
    }
    return false;
  }

  // A connection whose two Hellos are known.
  struct Candidate {
    uint64_t id = 0;           // not 0
    uint64_t incarnation = 0;  // of the peer
    PairConnection facts;
  };
  // The decision between two connections.
  struct Choice {
    bool stays = true;           // the candidate
    uint64_t beaten = 0;         // id of the connection that goes; 0: there was only one
    Beaten how = Beaten::kLost;  // what happens to the connection that goes
  };

  State state() const { return state_; }
  bool holds() const { return state_ == State::kHeld || state_ == State::kHeldDialling; }
  bool dials() const { return state_ == State::kDialling || state_ == State::kHeldDialling; }
  // The id of the held connection; 0: none.
  uint64_t held() const { return held_.id; }
  uint64_t held_incarnation() const { return held_.incarnation; }
  // The number of the last dial; 0: none yet.
  uint64_t last_dial() const { return last_dial_; }

  // Begins a dial and returns its number. Only in kNone.
  uint64_t BeginDial();
  // Ends the dial, with or without a connection.
  void EndDial();

  // True if the peer has not used this number, or a higher one, in this incarnation.
  bool Rises(uint64_t incarnation, uint64_t number) const {
    return incarnation != heard_incarnation_ || number > highest_heard_;
  }
  // Records an accepted connection of the peer. This end answers it with last_dial(). The number
  // must rise.
  void Heard(uint64_t incarnation, uint64_t number);
  // Decides which of the candidate and the held connection stays. A candidate of another
  // incarnation wins: the caller has already probed the held connection's process.
  Choice Choose(const Candidate& candidate);
  // The connection has ended or takes no more calls. False: it was not the held one.
  bool Lost(uint64_t id);

 private:
  void SetState(State to);
  void SetHeld(const Candidate& candidate);

  State state_ = State::kNone;
  uint64_t last_dial_ = 0;
  uint64_t heard_incarnation_ = 0;
  uint64_t highest_heard_ = 0;
  Candidate held_;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_MESH_PAIR_SLOT_H_
