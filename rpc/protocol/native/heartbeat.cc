#include "weft/rpc/protocol/native/heartbeat.h"

#include <algorithm>

#include "weft/core/check.h"

namespace weft::native {

void Heartbeat::Begin(Nanos interval, int misses) {
  WEFT_DCHECK(interval > Nanos::zero());
  interval_ = interval;
  misses_ = std::max(1, misses);
}

bool Heartbeat::Restart(int missed) {
  const bool suspect = missed_ > 1;
  missed_ = missed;
  if (missed == 0) ping_at_ = 0;
  return suspect;
}

Heartbeat::Verdict Heartbeat::Look(const Signs& signs) {
  Verdict verdict;
  const bool said_nothing = signs.appended == appended_;
  appended_ = signs.appended;
  const bool answer_unseen = signs.paused || was_paused_ || taken_ < ping_at_;
  was_paused_ = signs.paused;
  if (signs.taken > taken_) {
    taken_ = signs.taken;
    if (answer_unseen) {
      last_taken_ = signs.now;
      // The PING stays asked.
      verdict.no_longer_suspect = Restart(std::min(missed_, 1));
    }
  }
  verdict.silent_for = signs.now - std::max(signs.last_read, last_taken_);
  if (verdict.silent_for < interval_) {
    verdict.next_look = interval_ - verdict.silent_for;
    if (said_nothing) verdict.act = Verdict::Act::kPing;
    return verdict;
  }
  if (missed_++ >= misses_) {
    verdict.act = Verdict::Act::kEnd;
    return verdict;
  }
  if (missed_ == 1) ping_at_ = signs.appended;
  verdict.became_suspect = missed_ == 2;  // the first PING was not answered
  verdict.act = Verdict::Act::kPing;
  verdict.next_look = interval_;
  return verdict;
}

}  // namespace weft::native
