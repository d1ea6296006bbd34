#include "weft/rpc/protocol/native/heartbeat.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft::internal::native {

MonoTime Heartbeat::Begin(MonoTime now, Nanos interval, int misses) {
  WEFT_DCHECK(interval > Nanos::zero());
  interval_ = interval;
  misses_ = std::max(1, misses);
  return StepFrom(now + interval);
}

// An interval is a whole number of steps, rounded up by some nanoseconds, so that a look that came
// a step late does not delay the next one by another step.
Nanos Heartbeat::Step() const {
  const int64_t steps = std::max<int64_t>(10, (interval_ + kMaxStep - Nanos(1)) / kMaxStep);
  return (interval_ + Nanos(steps - 1)) / steps;
}

bool Heartbeat::Restart(int missed) {
  const bool suspect = missed_ > 1;
  missed_ = missed;
  if (missed == 0) ping_at_ = 0;
  return suspect;
}

Heartbeat::Verdict Heartbeat::Look(const Signs& signs) {
  Verdict verdict;
  const MonoTime now = StepBefore(signs.now);  // when this look was due
  const bool said_nothing = signs.appended == appended_;
  appended_ = signs.appended;
  const bool answer_unseen = signs.paused || was_paused_ || taken_ < ping_at_;
  was_paused_ = signs.paused;
  if (signs.taken > taken_) {
    taken_ = signs.taken;
    if (answer_unseen) {
      last_taken_ = now;
      // The PING stays open: a peer that has taken it must still answer.
      verdict.no_longer_suspect = Restart(std::clamp(missed_, 0, 1));
    }
  }
  const MonoTime last_sign = std::max(signs.last_read, last_taken_);
  verdict.silent_for = now - last_sign;
  if (verdict.silent_for < interval_) {
    verdict.look_at = StepFrom(last_sign + interval_);
    // The peer is heard, but has heard nothing of us for an interval: the PING is our sign of life.
    if (said_nothing) verdict.act = Verdict::Act::kPing;
    return verdict;
  }
  const Nanos half = interval_ / 2 / Step() * Step();
  // The peer's PING may just be late: wait half an interval before asking.
  if (!asks_ && missed_ == 0) {
    missed_ = kWaits;
    verdict.look_at = StepFrom(now + half);
    return verdict;
  }
  const bool waited = missed_ == kWaits;
  if (waited) missed_ = 0;
  if (missed_++ >= misses_) {
    verdict.act = Verdict::Act::kEnd;
    return verdict;
  }
  // The PING stands at this place of the output. Until the peer has taken it, there is nothing that
  // it could have answered.
  if (missed_ == 1) ping_at_ = signs.appended;
  verdict.became_suspect = missed_ == 2;  // the first PING stayed unanswered
  verdict.act = Verdict::Act::kPing;
  verdict.look_at = StepFrom(now + (waited ? interval_ - half : interval_));
  return verdict;
}

}  // namespace weft::internal::native
