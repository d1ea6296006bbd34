// The words for a dial that came to nothing: its target, its phase, what became of each address,
// and the time that it took.
//
//   "connect: 10.0.0.7:80: Connection refused; 10.0.0.8:80: No route to host
//   (to db1:80, after 3.0 ms)"
//
// Threads  one at a time
// Owns     the reasons of the addresses that failed
#ifndef WEFT_CORE_DIAL_ERRORS_H_
#define WEFT_CORE_DIAL_ERRORS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "weft/core/clock.h"
#include "weft/core/socket_address.h"

namespace weft::internal {

class DialErrors {
 public:
  enum class Phase { kResolve, kConnect };

  // A new dial of `target`.
  void Begin(std::string target);
  void set_phase(Phase phase) { phase_ = phase; }
  Phase phase() const { return phase_; }
  // `why` may name the system call and the address again.
  void Add(const SocketAddress& address, absl::string_view why);
  // Nothing is left of the addresses' reasons, their memory included.
  void Clear() { std::vector<std::string>().swap(reasons_); }

  // Each UNAVAILABLE; `took` is the dial's time.
  absl::Status NoAddress(absl::string_view why, Nanos took) const;
  absl::Status NoNetwork() const;
  // Every address failed.
  absl::Status AllFailed(Nanos took) const;
  // The limit has come while these addresses were asked.
  absl::Status NoAnswer(const std::vector<SocketAddress>& asked, Nanos took) const;

 private:
  // As many addresses are named.
  static constexpr size_t kNamed = 4;

  std::string Reasons() const;

  std::string target_;
  Phase phase_ = Phase::kResolve;
  std::vector<std::string> reasons_;
  bool target_failed_ = false;  // the target is an address, and a reason begins with it
};

}  // namespace weft::internal

#endif  // WEFT_CORE_DIAL_ERRORS_H_
