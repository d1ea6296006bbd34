#include "weft/rpc/mesh/node_events.h"

#include <algorithm>
#include <utility>

#include "weft/core/callback_queue.h"

namespace weft::internal {
namespace {

// For the log.
constexpr char kListener[] = "a listener of a node's events";

}  // namespace

NodeEvents::NodeEvents(std::shared_ptr<EventLoop> loop, NodeListener listener)
    : loop_(std::move(loop)), listener_(std::move(listener)) {}

bool NodeEvents::TakeToken(Pace& pace, MonoTime now) {
  const double grown = static_cast<double>((now - pace.at).count()) / kEvery.count();
  // A token bucket: kBurst events at once, then one each kEvery.
  pace.tokens = std::min<double>(kBurst, pace.tokens + std::max(0.0, grown));
  pace.at = now;
  if (pace.tokens < 1) return false;
  pace.tokens -= 1;
  return true;
}

void NodeEvents::Push(NodeEvent event) {
  if (listener_ == nullptr) return;
  {
    MutexLock lock(mu_);
    if (stopped_) return;
    const MonoTime now = loop_->clock().Now();
    // Strangers choose their own names, so all refusals share one bucket. Otherwise each new name
    // would get a fresh burst, and an entry in the map.
    const bool stranger = event.kind == NodeEvent::Kind::kRefused;
    Pace& pace = paces_[{stranger ? std::string() : event.peer, event.kind}];
    if (pace.waits || !TakeToken(pace, now)) {
      if (pace.waits) ++pace.coalesced;
      pace.waits = true;
      // The newest takes the place of the one that waits: listeners want the present state, and a
      // count of what they missed.
      pace.event = std::move(event);
    } else {
      ready_.push_back(std::move(event));
    }
    // A Tell is on its way already; it takes this event, too.
    if (std::exchange(posted_, true)) return;
  }
  loop_->Post([self = shared_from_this()](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    self->loop_->AssertInLoop();
    self->Tell();
  });
}

void NodeEvents::Tell() {
  std::deque<NodeEvent> ready;
  {
    MutexLock lock(mu_);
    posted_ = false;
    if (stopped_) return;
    const MonoTime now = loop_->clock().Now();
    bool wait = false;
    for (auto it = paces_.begin(); it != paces_.end();) {
      Pace& pace = it->second;
      if (pace.waits && TakeToken(pace, now)) {
        pace.event.coalesced = std::exchange(pace.coalesced, 0);
        ready_.push_back(std::move(pace.event));
        pace.waits = false;
      }
      wait |= pace.waits;
      // A full bucket is the same as none: drop it, so that the map does not grow with every name.
      const bool idle = !pace.waits && now - pace.at > kEvery * kBurst;
      it = idle ? paces_.erase(it) : std::next(it);
    }
    ready.swap(ready_);
    if (wait) {
      if (timer_ == nullptr) {
        timer_ = std::make_unique<Timer>(*loop_, [this] {
          loop_->AssertInLoop();
          Tell();
        });
      }
      // Tokens of different peers become due at different times; a quarter second is close enough.
      timer_->StartAfter(kEvery / 4);
    }
  }
  for (NodeEvent& event : ready) {
    CallbackQueue::Call(
        loop_.get(), kListener,
        [self = shared_from_this(), event = std::move(event)] { self->listener_(event); });
  }
}

void NodeEvents::Stop() {
  timer_ = nullptr;
  MutexLock lock(mu_);
  stopped_ = true;
  ready_.clear();
}

}  // namespace weft::internal
