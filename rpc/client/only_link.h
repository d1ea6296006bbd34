// One connection as a source of links: where the other side cannot be dialled, it is the only one.
// Calls end when it has gone, also those that would wait for another.
//
// Threads  any
// Owns     nothing; outlived by its link
// Errors   UNAVAILABLE once the link takes no more calls
#ifndef WEFT_RPC_CLIENT_ONLY_LINK_H_
#define WEFT_RPC_CLIENT_ONLY_LINK_H_

#include <atomic>
#include <functional>
#include <string_view>

#include "weft/rpc/client/link_source.h"

namespace weft::internal {

class WEFT_ANY_THREAD OnlyLink final : public LinkSource {
 public:
  static constexpr std::string_view kGone = "the connection has ended, or takes no more calls";

  explicit OnlyLink(CallLink& link) : link_(link) {}

  PickedLink Pick(const PickRequest& request, absl::Status* why) override {
    // The only link has number 1. A caller that has found it gone finds no other.
    if (request.gone.empty()) return {&link_, 1, nullptr};
    gone_.store(true, std::memory_order_relaxed);
    *why = absl::UnavailableError(absl::string_view(kGone.data(), kGone.size()));
    return {};
  }
  std::string_view WhyOver() const override {
    return gone_.load(std::memory_order_relaxed) ? kGone : std::string_view();
  }
  // The session of the link has an owner of its own, and ends without this.
  void Watch(LinkObserver*) override {}
  void Connect(bool) override {}
  void Close(std::function<void()> done) override { done(); }

 private:
  CallLink& link_;
  std::atomic<bool> gone_{false};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_ONLY_LINK_H_
