// A node's knowledge of another node.
//
//   kConnecting ──► kUp, kDown, kRefused
//   kUp ──► kSuspect, kDown, kRefused
//   kSuspect ──► kUp, kDown, kRefused
//   kDown ──► kUp, kRefused
//   kRefused ──► kUp, kDown
//   kConnecting, kUp, kSuspect, kDown, kRefused ──it is no member any more──► kLeft
//   kLeft ──it joins again──► kConnecting
//
// Threads  value
#ifndef WEFT_RPC_MESH_PEER_STATE_H_
#define WEFT_RPC_MESH_PEER_STATE_H_

#include <cstdint>
#include <string_view>

#include "weft/core/requirements.h"

namespace weft {

enum class PeerState : uint8_t {
  kConnecting,  // a member, not heard from yet
  kUp,          // at least one connection is up
  kSuspect,     // on each of its connections a heartbeat was not answered in time
  kDown,        // no connection: none could be made
  kRefused,     // one side refuses the other
  kLeft,        // no longer a member
};

class PeerStates {
 public:
  static constexpr bool MayGo(PeerState from, PeerState to) {
    if (from == to) return false;
    if (to == PeerState::kLeft) return true;
    switch (from) {
      case PeerState::kConnecting:
        return to == PeerState::kUp || to == PeerState::kDown || to == PeerState::kRefused;
      case PeerState::kUp:
        return to != PeerState::kConnecting;
      case PeerState::kSuspect:
        return to != PeerState::kConnecting;
      case PeerState::kDown:
        return to == PeerState::kUp || to == PeerState::kRefused;
      case PeerState::kRefused:
        return to == PeerState::kUp || to == PeerState::kDown;
      case PeerState::kLeft:
        return to == PeerState::kConnecting;
    }
    return false;
  }
  // At least one connection, whether it answers or not.
  static constexpr bool Reached(PeerState state) {
    return state == PeerState::kUp || state == PeerState::kSuspect;
  }
  // A member without a connection, after an attempt to have one.
  static constexpr bool Away(PeerState state) {
    return state == PeerState::kDown || state == PeerState::kRefused;
  }
  // The state's name, such as "up".
  static constexpr std::string_view Name(PeerState state) {
    switch (state) {
      case PeerState::kConnecting:
        return "connecting";
      case PeerState::kUp:
        return "up";
      case PeerState::kSuspect:
        return "suspect";
      case PeerState::kDown:
        return "down";
      case PeerState::kRefused:
        return "refused";
      case PeerState::kLeft:
        return "left";
    }
    return "unknown";
  }
};

}  // namespace weft

#endif  // WEFT_RPC_MESH_PEER_STATE_H_
