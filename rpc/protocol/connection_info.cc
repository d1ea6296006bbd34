#include "weft/rpc/protocol/connection_info.h"

namespace weft {

std::string_view ConnectionStateName(ConnectionState state) {
  // Without a default, so that the compiler points out a state that has no name.
  switch (state) {
    case ConnectionState::kConnecting:
      return "connecting";
    case ConnectionState::kUp:
      return "up";
    case ConnectionState::kSuspect:
      return "suspect";
    case ConnectionState::kGoingAway:
      return "going away";
    case ConnectionState::kDown:
      return "down";
  }
  return "";
}

}  // namespace weft
