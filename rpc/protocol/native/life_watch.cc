#include "weft/rpc/protocol/native/life_watch.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::internal::native {
namespace {

// Bytes of two heartbeats: a PING, and the answer to one.
constexpr size_t kQuiet = 2 * (kHeaderSize + kClockSize);

}  // namespace

void LifeWatch::Begin(Nanos agreed, int misses) {
  Nanos interval = agreed;
  if (max_interval_ > Nanos::zero()) {
    interval = agreed > Nanos::zero() ? std::min(agreed, max_interval_) : max_interval_;
  }
  if (interval == Nanos::zero()) return;
  // The peer does not expect PINGs this often, so its own do not suffice: this side has to ask.
  if (interval != agreed) heartbeat_.SetAsks();
  shared_.parts.timer.StartAt(heartbeat_.Begin(shared_.loop.clock().Now(), interval, misses));
  // The system must not give the peer up earlier than the heartbeat does.
  if (interval > ToNanos(shared_.limits().heartbeat_interval)) {
    shared_.frames().output().transport().SetLostAfter(interval * (misses + 1));
  }
}

void LifeWatch::Look() {
  if (shared_.phase.ending()) return;
  // Only heartbeats since the last look: the connection is quiet.
  const uint64_t read = shared_.parts.connection.bytes_read();
  if (read - std::exchange(read_before_, read) <= kQuiet) shared_.parts.trim.Trim();
  FrameOutput& frames = shared_.frames();
  if (shared_.phase.is(SessionPhase::State::kVerdict) && shared_.parts.connection.paused()) {
    // This side has paused reading before the verdict. The peer is not silent, and must not take us
    // for dead.
    shared_.parts.timer.StartAfter(heartbeat_.interval());
    SendPing(NextPing());
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
  shared_.parts.timer.StartAt(verdict.look_at);
  if (verdict.act == Heartbeat::Verdict::Act::kPing) {
    SendPing(NextPing());
    if (shared_.phase.ending()) return;  // the write found the connection broken
  }
  if (verdict.became_suspect || verdict.no_longer_suspect) {
    shared_.host.OnSuspect(shared_.session, verdict.became_suspect);
  }
}

uint64_t LifeWatch::NextPing() {
  const MonoTime now = shared_.loop.clock().Now();
  // A PING's number is the time of its sending, counted from the first. So the answer alone gives
  // the round trip, and no table of questions is needed.
  if (last_ping_ == 0) first_ping_ = now;
  last_ping_ = std::max(last_ping_, static_cast<uint64_t>((now - first_ping_).count())) + 1;
  return last_ping_;
}

void LifeWatch::SendPing(uint64_t ping) {
  shared_.frames().SendFrame({0, FrameType::kPing, 0, 0, ping}, "");
}

void LifeWatch::Probe(std::function<void()> alive) {
  if (!shared_.phase.up()) return;
  if (questions_ == nullptr) questions_ = std::make_unique<std::vector<Question>>();
  const uint64_t ping = NextPing();
  questions_->push_back({ping, std::move(alive)});
  SendPing(ping);
}

void LifeWatch::TakePong(uint64_t ping, std::string_view body) {
  if (ping == 0 || ping > last_ping_) return;  // answers no PING of ours
  const MonoTime sent = first_ping_ + Nanos(ping - 1);
  shared_.link->CountPong(std::max(shared_.loop.clock().Now() - sent, Nanos::zero()), body);
  if (questions_ == nullptr) return;
  // An answer to a later PING answers all before it: the connection keeps their order.
  const auto later = std::find_if(questions_->begin(), questions_->end(),
                                  [ping](const Question& q) { return q.ping > ping; });
  const std::vector<Question> answered(std::make_move_iterator(questions_->begin()),
                                       std::make_move_iterator(later));
  questions_->erase(questions_->begin(), later);
  if (questions_->empty()) questions_.reset();
  // Taken out before they run: a callback may ask again or end the session.
  for (const Question& question : answered) {
    if (shared_.phase.ending()) return;
    question.alive();
  }
}

void LifeWatch::GiveUp(Nanos silent_for) {
  const Nanos interval = heartbeat_.interval();
  shared_.session.Close(
      CloseReason::kSilent,
      absl::UnavailableError(absl::StrCat(
          "connection lost: silent for ", absl::FormatDuration(ToAbsl(silent_for)),
          interval == max_interval_ ? " (max_heartbeat_interval " : " (heartbeat_interval ",
          absl::FormatDuration(ToAbsl(interval)), ")")));
}

}  // namespace weft::internal::native
