// A link that notes what is started on it and who waits for room, and takes calls as the test says.
//
// Threads  any
#ifndef WEFT_TESTS_SUPPORT_NOTING_LINK_H_
#define WEFT_TESTS_SUPPORT_NOTING_LINK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/watched.h"
#include "weft/core/event_loop.h"
#include "weft/rpc/call/call_link.h"
#include "weft/rpc/call/outbound_call.h"

namespace weft {

class NotingLink final : public internal::CallLink {
 public:
  explicit NotingLink(internal::EventLoop& loop) : loop_(loop) {}

  StartResult TryStart(internal::OutboundCall& call, absl::Status* why) override {
    if (gone) return StartResult::kGone;
    if (refuses || full) {
      *why = absl::ResourceExhaustedError(full ? "its output is full" : "too much");
      return full ? StartResult::kFull : StartResult::kRefused;
    }
    started.Update([&](auto& all) { all.push_back(&call); });
    return StartResult::kStarted;
  }
  void AwaitRoom(size_t size, std::weak_ptr<internal::RoomObserver> observer) override {
    asked.Update([&](auto& all) { all.emplace_back(size, std::move(observer)); });
  }
  void StopStarting() override {}
  internal::EventLoop& loop() const override { return loop_; }
  internal::ConnectedPeer connected_peer() const override { return {}; }
  ConnectionVolume Volume() override { return {}; }
  void CancelCall(uint64_t) override {}

  // Tells the observer that has asked last. False: it is gone, or nobody has asked.
  [[nodiscard]] bool TellRoom() {
    const auto all = asked.Get();
    const auto observer = all.empty() ? nullptr : all.back().second.lock();
    if (observer == nullptr) return false;
    observer->OnRoom();
    return true;
  }

  std::atomic<bool> gone{false}, refuses{false}, full{false};
  Watched<std::vector<internal::OutboundCall*>> started{{}};
  Watched<std::vector<std::pair<size_t, std::weak_ptr<internal::RoomObserver>>>> asked;

 private:
  internal::EventLoop& loop_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_NOTING_LINK_H_
