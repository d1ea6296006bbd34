#include "weft/rpc/client/outage_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "weft/core/absl_view.h"
#include "weft/core/named_peer.h"
#include "weft/rpc/client/dial_pauses.h"

namespace weft::internal {
namespace {

// Without digits that nobody reads: "1m10s", "250ms".
std::string Rounded(Nanos time) {
  const absl::Duration d = ToAbsl(time);
  return absl::FormatDuration(
      absl::Trunc(d, d >= absl::Seconds(10) ? absl::Seconds(1) : absl::Milliseconds(1)));
}

}  // namespace

// A bucket of kBurst tokens, filled again at one each kEvery: a peer that comes and goes all the
// time does not fill the log.
bool OutageLog::Take(MonoTime now) {
  if (tokens_at_ != MonoTime()) {
    const double grown =
        static_cast<double>((now - tokens_at_).count()) / static_cast<double>(kEvery.count());
    tokens_ = std::min(kBurst, tokens_ + std::max(0.0, grown));
  }
  tokens_at_ = now;
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void OutageLog::Begin(MonoTime now) {
  out_ = true;
  began_ = now;
  attempts_ = 0;
}

std::string OutageLog::Tried(MonoTime now) const {
  return absl::StrCat(attempts_, attempts_ == 1 ? " attempt in " : " attempts in ",
                      Rounded(now - began_));
}

void OutageLog::Warn(MonoTime now, std::string_view how, std::string_view peer,
                     std::string_view rest) {
  told_away_ = true;
  last_line_ = now;
  // Losses that had no line are summed up in the next one, so that the log misses none.
  const uint64_t untold = std::exchange(untold_, 0);
  log_.Warning(absl::StrCat(
      side_, ": ", AbslView(what_), " ", AbslView(how), ": ", NamedPeer::AtEnd(rest, "to", peer),
      untold > 0 ? absl::StrCat("; lost before without a line: ", untold, " times") : ""));
}

void OutageLog::Lost(MonoTime now, std::string_view peer, const absl::Status& why) {
  if (out_) return;
  Begin(now);
  if (Take(now)) {
    Warn(now, "lost", peer, std::string(why.message()));
  } else {
    ++untold_;
  }
}

void OutageLog::Failed(MonoTime now, std::string_view peer, const absl::Status& why) {
  if (!out_) Begin(now);
  ++attempts_;
  // A refusal is told at once: it does not end by waiting.
  const bool refused = DialPauses::IsRefusal(why);
  if (told_away_) {
    // The outage is known already: however often the peer is dialled, a line each kEvery is enough.
    if (now - last_line_ < kEvery || !Take(now)) return;
    Warn(now, refused ? "refusal lasts" : "still unreachable", peer,
         absl::StrCat(why.message(), "; ", Tried(now)));
  } else if ((refused || now - began_ >= kPatience) && Take(now)) {
    Warn(now, refused ? "refusal" : "unreachable", peer, std::string(why.message()));
  }
}

void OutageLog::Back(MonoTime now, std::string_view peer) {
  // Nobody was told that it is away, so nobody is told that it is back.
  if (!std::exchange(out_, false) || !std::exchange(told_away_, false)) return;
  if (!log_.Wants(LogLevel::kInfo)) return;
  log_.Info(absl::StrCat(side_, ": ", AbslView(what_), " back (", AbslView(peer), ", after ",
                         Tried(now), ")"));
}

void OutageLog::Forget() { out_ = told_away_ = false; }

}  // namespace weft::internal
