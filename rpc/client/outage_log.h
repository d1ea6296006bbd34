// Tells the log of one peer that cannot be reached: lost, unreachable, still unreachable, back.
//
//   reached ──Lost──► out ──Back──► reached      a warning, and a line of level info
//   reached ──Failed…──► out                     a warning, once it has lasted for kPatience
//   out ──Failed…──► out                         a warning a minute at most, with what was tried
//
// Lines begin with words that do not change, so that they group; the reason, the count and, last,
// the peer follow. A peer that comes and goes all the time has kBurst warnings, then one a minute,
// and is called back only where it was called away.
//
// Threads  value; its owner's lock or loop guards it
#ifndef WEFT_RPC_CLIENT_OUTAGE_LOG_H_
#define WEFT_RPC_CLIENT_OUTAGE_LOG_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "weft/core/clock.h"
#include "weft/core/log.h"

namespace weft::internal {

class OutageLog {
 public:
  // Between two lines of one outage, at least.
  static constexpr Nanos kEvery = std::chrono::minutes(1);
  // An outage without a loss, at a start for one, is not told before; a refusal is at once.
  static constexpr Nanos kPatience = std::chrono::seconds(1);
  // Warnings that one peer may have in a row.
  static constexpr double kBurst = 4;

  // `side`: who speaks ("channel", "node a"). `what`: what it has lost ("server", "peer").
  OutageLog(Log log, std::string side, std::string_view what)
      : log_(std::move(log)), side_(std::move(side)), what_(what) {}

  // It was reached until now. `peer`: its name, or its address, or both.
  void Lost(MonoTime now, std::string_view peer, const absl::Status& why);
  // An attempt to reach it came to nothing.
  void Failed(MonoTime now, std::string_view peer, const absl::Status& why);
  // It is reached.
  void Back(MonoTime now, std::string_view peer);
  // It is nobody that is to be reached any more.
  void Forget();
  // True: the peer is not reached, told or not.
  bool out() const { return out_; }

 private:
  // A warning may be written now; it is counted.
  bool Take(MonoTime now);
  void Begin(MonoTime now);
  void Warn(MonoTime now, std::string_view how, std::string_view peer, std::string_view rest);
  std::string Tried(MonoTime now) const;

  const Log log_;
  const std::string side_;
  const std::string_view what_;
  bool out_ = false;
  bool told_away_ = false;
  MonoTime began_{};        // the outage
  uint64_t attempts_ = 0;   // since then
  uint64_t untold_ = 0;     // losses that had no line
  MonoTime last_line_{};    // while told_away_
  double tokens_ = kBurst;  // warnings that may be written
  MonoTime tokens_at_{};
};

}  // namespace weft::internal

#endif  // WEFT_RPC_CLIENT_OUTAGE_LOG_H_
