#include "weft/rpc/mesh/view_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/rpc/call/unary_call.h"

namespace weft::internal {

template <typename Act>
void ViewExchange::OnLoop(Act act) {
  around_.loop->Post([self = shared_from_this(), act = std::move(act)](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    self->around_.loop->AssertInLoop();
    // Stop has destroyed the timers; a task from before it must not make them anew.
    if (!self->stopped_) act(*self);
  });
}

void ViewExchange::OnPeer(const std::string& name, PeerState state) {
  OnLoop([name, state](ViewExchange& self) {
    self.around_.loop->AssertInLoop();
    if (state == PeerState::kUp) {
      // The smaller name asks; the answer and the request tell both. A suspect peer stays in `up_`,
      // so it is not asked again when it is told as up once more.
      if (self.up_.insert(name).second && self.around_.node < name) self.Ask(name);
    } else if (state != PeerState::kSuspect && self.up_.erase(name) > 0) {
      self.log_.Forget(name);
      self.Arm();
    }
  });
}

void ViewExchange::OnView() {
  OnLoop([](ViewExchange& self) {
    self.around_.loop->AssertInLoop();
    // Asks all, also those with a smaller name: they know only this node's version from before.
    for (const std::string& peer : self.up_) self.Ask(peer);
    self.Arm();
  });
}

void ViewExchange::Ask(const std::string& peer) {
  std::shared_ptr<CallTarget> target = around_.find(peer);
  if (target == nullptr) return;
  Version ours;
  ours.set_value(log_.current().view.version());
  // A reference, since `target` itself moves into the callback, which keeps it until the answer.
  CallTarget& called = *target;
  // Weak: an answer may come after Stop, and must not keep the exchange alive until a deadline.
  auto answered = [weak = weak_from_this(), target = std::move(target),
                   peer](absl::StatusOr<Version> theirs) {
    if (const auto self = weak.lock()) self->OnAnswer(peer, theirs);
  };
  CallAsync<Version, Version>(called, kCompare, ours, CallOptions(), std::move(answered));
}

void ViewExchange::OnAnswer(const std::string& peer, const absl::StatusOr<Version>& theirs) {
  if (theirs.ok()) {
    Hear(peer, theirs->value());
    // UNIMPLEMENTED: an older node, which will never answer.
  } else if (!absl::IsUnimplemented(theirs.status())) {
    OnLoop([peer](ViewExchange& self) {
      self.around_.loop->AssertInLoop();
      self.unanswered_.insert(peer);
      if (self.again_ == nullptr) {
        self.again_ = std::make_unique<Timer>(*self.around_.loop, [&self] {
          self.around_.loop->AssertInLoop();
          self.AskAgain();
        });
      }
      // One timer for all: those that join later are asked with the others, a little sooner than
      // kAgain.
      if (!self.again_->armed()) self.again_->StartAfter(kAgain);
    });
  }
}

void ViewExchange::AskAgain() {
  for (const std::string& peer : std::exchange(unanswered_, {})) {
    if (up_.contains(peer)) Ask(peer);
  }
}

std::span<const ServiceMethod> ViewExchange::methods() const {
  static constexpr ServiceMethod kMethods[] = {BlockingMethod<&ViewExchange::Compare>(kCompare)};
  return kMethods;
}

absl::Status ViewExchange::Compare(ServerContext& call, Version& theirs, Version& ours) {
  const std::string peer = call.node();
  // A client has no view, and must not fill the log with versions under names of its choice.
  if (peer.empty() || around_.find(peer) == nullptr) {
    return absl::PermissionDeniedError("only members of the cluster compare views");
  }
  ours.set_value(log_.current().view.version());
  Hear(peer, theirs.value());
  return absl::OkStatus();
}

void ViewExchange::Hear(const std::string& peer, uint64_t version) {
  // At once, on any thread: the log has a mutex of its own. Only the timer is the loop's.
  log_.Hear(peer, version, around_.loop->clock().Now());
  OnLoop([peer](ViewExchange& self) {
    self.around_.loop->AssertInLoop();
    // The version may arrive after the peer's end.
    if (!self.up_.contains(peer)) self.log_.Forget(peer);
    self.Arm();
  });
}

void ViewExchange::Arm() {
  // Most nodes never see a difference: the timer is made with the first one.
  const MonoTime next = log_.NextLasting(kLasting);
  if (lasting_ == nullptr) {
    if (next == kNever) return;
    lasting_ = std::make_unique<Timer>(*around_.loop, [this] {
      around_.loop->AssertInLoop();
      OnLasting();
    });
  }
  lasting_->StartAt(next);
}

void ViewExchange::OnLasting() {
  for (const ViewLog::Difference& difference :
       log_.Lasting(around_.loop->clock().Now(), kLasting)) {
    // Not up: Hear noted a version after the peer's end, and the task that forgets it has not run
    // yet.
    if (up_.contains(difference.peer)) around_.tell(difference);
  }
  Arm();
}

void ViewExchange::Stop() {
  stopped_ = true;
  lasting_ = nullptr;
  again_ = nullptr;
}

}  // namespace weft::internal
