#include "weft/rpc/mesh/slot_dialer.h"

#include <algorithm>
#include <utility>

#include "weft/core/check.h"
#include "weft/rpc/protocol/session_seed.h"

namespace weft::internal {

SlotDialer::OnLoop::OnLoop(EventLoop& loop, SlotDialer* self)
    : dialer(loop, self->options_->dialer), pause(loop, [self] {
        self->loop_->AssertInLoop();
        self->OnPauseOver();
      }) {}

SlotDialer::SlotDialer(std::shared_ptr<MeshLoops> loops, size_t loop,
                       std::shared_ptr<const SlotDialerOptions> options, SlotDialerHost& host,
                       std::weak_ptr<const void> keeper, size_t slot)
    : loops_(std::move(loops)),
      index_(loop),
      loop_(loops_->loop(loop)),
      options_(std::move(options)),
      host_(host),
      keeper_(std::move(keeper)),
      slot_(slot) {}

SlotDialer::~SlotDialer() = default;

void SlotDialer::SetState(State to) {
  WEFT_DCHECK(MayGo(state_, to));
  state_ = to;
}

// Frees timer and connector: most peers are connected most of the time. Safe inside the dialer's
// and the timer's own callbacks.
void SlotDialer::Rest() {
  SetState(State::kResting);
  if (!on_loop_->dialer.remembers()) on_loop_ = nullptr;
}

template <typename Act>
void SlotDialer::Post(Act act) {
  loop_->Post([self = shared_from_this(), this, act = std::move(act)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    // Held until `act` has returned: the host must not go while it is called.
    const std::shared_ptr<const void> kept = keeper_.lock();
    if (kept != nullptr && state_ != State::kClosed) act();
  });
}

void SlotDialer::DialAfter(Nanos pause) {
  Post([this, pause] {
    loop_->AssertInLoop();
    if (state_ == State::kConnecting || loops_->node(index_) == nullptr) return;
    if (on_loop_ == nullptr) on_loop_ = std::make_unique<OnLoop>(*loop_, this);
    SetState(State::kPausing);
    // At least 1 ns, never now: the dial begins in a later turn, outside whatever asked for it.
    on_loop_->pause.StartAfter(std::max(pause, Nanos(1)));
  });
}

void SlotDialer::Abort(absl::Status why) {
  Post([this, why = std::move(why)] {
    loop_->AssertInLoop();
    // The dial may have ended between Abort and this task.
    if (state_ != State::kConnecting) return;
    on_loop_->dialer.Cancel();
    Fail(why);
  });
}

void SlotDialer::Close() {
  // Not by Post, which does nothing once the pair has gone: timer and connector must be destroyed
  // on their loop in any case.
  loop_->Post([self = shared_from_this(), this](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;
    loop_->AssertInLoop();
    if (state_ == State::kClosed) return;
    SetState(State::kClosed);
    if (on_loop_ != nullptr) on_loop_->dialer.Cancel();
    on_loop_ = nullptr;
  });
}

void SlotDialer::OnPauseOver() {
  const std::shared_ptr<const void> kept = keeper_.lock();
  SlotDial dial;
  // Asked only now, at the end of the pause: meanwhile the peer may have connected, moved or left.
  if (kept == nullptr || loops_->node(index_) == nullptr || !host_.BeginDial(slot_, &dial)) {
    Rest();
    return;
  }
  SetState(State::kConnecting);
  const MonoTime began = loop_->clock().Now();
  // Copies, because `dial` moves into the callback below in the same statement.
  const HostPort address = dial.address;
  const std::string text = dial.text;
  on_loop_->dialer.Start(
      address, text, options_->limit,
      [this, dial = std::move(dial), began](absl::StatusOr<std::unique_ptr<Transport>> transport) {
        loop_->AssertInLoop();
        const std::shared_ptr<const void> still = keeper_.lock();
        // The pair may have gone while the dial was under way.
        if (still != nullptr) OnConnected(dial, began, std::move(transport));
      });
}

void SlotDialer::Fail(const absl::Status& why) {
  // Where a name has several addresses the next attempt begins with another one.
  on_loop_->dialer.AvoidLast();
  Rest();
  host_.OnDialFailed(slot_, why);
}

void SlotDialer::OnConnected(SlotDial dial, MonoTime began,
                             absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (!transport.ok()) {
    Fail(transport.status());
    return;
  }
  NodeLoop* const part = loops_->node(index_);
  const uint64_t id = part != nullptr ? part->NumberDialled(dial.text) : 0;
  if (id == 0) {
    Fail(absl::ResourceExhaustedError("this node takes no connection more"));
    return;
  }
  Rest();
  // The host must know the session before AdoptDialled begins it.
  host_.OnDialled(slot_, {index_, id});
  SessionSeed seed;
  seed.transport = *std::move(transport);
  seed.peer = std::move(dial.text);
  seed.began = began;
  seed.own = std::move(dial.own);
  seed.handshake_left =
      std::max(options_->limit - (loop_->clock().Now() - began), Nanos(1'000'000));
  part->AdoptDialled(id, options_->protocol, std::move(seed));
}

}  // namespace weft::internal
