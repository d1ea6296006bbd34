#include "weft/rpc/protocol/native/life_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::native {

void LifeWatch::Begin(Nanos agreed, int misses) {
  Nanos interval = agreed;
  if (max_interval_ > Nanos::zero()) {
    interval = agreed > Nanos::zero() ? std::min(agreed, max_interval_) : max_interval_;
  }
  if (interval == Nanos::zero()) return;
  heartbeat_.Begin(interval, misses);
  shared_.parts.timer.StartAfter(interval);
  // The system below gives a peer up no earlier than the heartbeat does.
  if (interval > ToNanos(shared_.limits().heartbeat_interval)) {
    shared_.frames().output().transport().SetLostAfter(interval * (misses + 1));
  }
}

void LifeWatch::Look() {
  if (shared_.phase.ending()) return;
  // Nothing but heartbeats since the last look: the connection is quiet.
  const uint64_t read = shared_.parts.connection.bytes_read();
  if (read - std::exchange(read_before_, read) <= 2 * kHeaderSize) shared_.parts.trim.Trim();
  FrameOutput& frames = shared_.frames();
  if (shared_.phase.is(SessionPhase::State::kVerdict) && shared_.parts.connection.paused()) {
    // It is this side that does not read: the peer is not silent, and must not think so of us.
    shared_.parts.timer.StartAfter(heartbeat_.interval());
    frames.SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
    return;
  }
  Heartbeat::Signs signs;
  signs.now = shared_.loop.clock().Now();
  signs.last_read = shared_.parts.connection.last_read();
  {
    MutexLock lock(frames.output().mutex());
    signs.appended = frames.output().appended();
  }
  signs.taken = frames.output().Acknowledged();
  signs.paused = shared_.parts.connection.paused();
  const Heartbeat::Verdict verdict = heartbeat_.Look(signs);
  if (verdict.act == Heartbeat::Verdict::Act::kEnd) {
    GiveUp(verdict.silent_for);
    return;
  }
  shared_.parts.timer.StartAfter(verdict.next_look);
  if (verdict.act == Heartbeat::Verdict::Act::kPing) {
    frames.SendFrame({0, FrameType::kPing, 0, 0, 0}, "");
    if (shared_.phase.ending()) return;  // the write found the connection broken
  }
  if (verdict.became_suspect || verdict.no_longer_suspect) {
    shared_.host.OnSuspect(shared_.session, verdict.became_suspect);
  }
}

void LifeWatch::GiveUp(Nanos silent_for) {
  const Nanos interval = heartbeat_.interval();
  shared_.session.Close(
      CloseReason::kSilent,
      absl::UnavailableError(absl::StrCat(
          "connection with ", shared_.peer(), " lost: silent for ",
          absl::FormatDuration(ToAbsl(silent_for)),
          interval == max_interval_ ? " (max_heartbeat_interval " : " (heartbeat_interval ",
          absl::FormatDuration(ToAbsl(interval)), ")")));
}

}  // namespace weft::native
