// The waiters for room in a connection's output, each with the room its next request needs. A part
// of FrameOutput.
//
// Threads  value; under the output's mutex
// Owns     nothing: a waiter that has gone is skipped
#ifndef WEFT_RPC_PROTOCOL_NATIVE_ROOM_WAITS_H_
#define WEFT_RPC_PROTOCOL_NATIVE_ROOM_WAITS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "weft/rpc/call/room_observer.h"

namespace weft::internal::native {

class RoomWaits {
 public:
  using Observers = std::vector<std::weak_ptr<RoomObserver>>;

  // Waits until at most `most` bytes wait to be written.
  void Add(size_t most, std::weak_ptr<RoomObserver> observer) {
    waits_.push_back({most, std::move(observer)});
  }
  // Takes the waiters that have room, now that `waiting` bytes wait.
  [[nodiscard]] Observers Take(size_t waiting) {
    Observers told;
    std::erase_if(waits_, [&](Wait& wait) {
      if (waiting > wait.most) return false;
      told.push_back(std::move(wait.observer));
      return true;
    });
    // Gives the memory back: most connections hardly ever wait for room.
    if (waits_.empty()) waits_.shrink_to_fit();
    return told;
  }
  // Every waiter has room when nothing waits.
  [[nodiscard]] Observers TakeAll() { return Take(0); }
  bool empty() const { return waits_.empty(); }

 private:
  struct Wait {
    // The most waiting bytes beside which its request has room.
    size_t most;
    std::weak_ptr<RoomObserver> observer;
  };
  std::vector<Wait> waits_;
};

}  // namespace weft::internal::native

#endif  // WEFT_RPC_PROTOCOL_NATIVE_ROOM_WAITS_H_
