#include "weft/rpc/protocol/connection_info.h"

namespace weft {

std::string_view ConnectionStateName(ConnectionState state) {
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
