// The states of a server, from its start to its stop.
//
//   kNew ──it listens──► kServing
//   kNew, kServing ──Stop──► kDraining ──all has ended──► kStopped
//   kNew ──Stop, and no thread was started──► kStopped
//
// kServing: listens on at least one address. kDraining: takes no new calls; calls under way go on.
//
// Threads  value
#ifndef WEFT_RPC_PROTOCOL_SERVER_STATE_H_
#define WEFT_RPC_PROTOCOL_SERVER_STATE_H_

#include <cstdint>

#include "weft/core/requirements.h"

namespace weft {

enum class ServerState : uint8_t { kNew, kServing, kDraining, kStopped };

namespace internal {

constexpr bool MayGo(ServerState from, ServerState to) {
  switch (to) {
    case ServerState::kNew:
      return false;
    case ServerState::kServing:
      return from == ServerState::kNew;
    case ServerState::kDraining:
      return from == ServerState::kNew || from == ServerState::kServing;
    case ServerState::kStopped:
      return from == ServerState::kNew || from == ServerState::kDraining;
  }
  return false;
}

}  // namespace internal

}  // namespace weft

#endif  // WEFT_RPC_PROTOCOL_SERVER_STATE_H_
