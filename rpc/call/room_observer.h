// Waits for room on a link whose output was full (CallLink::AwaitRoom).
//
// Threads  OnRoom: any, under no lock of the link's
#ifndef WEFT_RPC_CALL_ROOM_OBSERVER_H_
#define WEFT_RPC_CALL_ROOM_OBSERVER_H_

#include "weft/core/requirements.h"

namespace weft::internal {

class RoomObserver {
 public:
  // There is room, or the link takes no more calls: TryStart says which.
  virtual void OnRoom() = 0;

 protected:
  ~RoomObserver() = default;
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CALL_ROOM_OBSERVER_H_
