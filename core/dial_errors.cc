#include "weft/core/dial_errors.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "weft/core/named_peer.h"

namespace weft::internal {
namespace {

std::string After(Nanos took) { return absl::StrCat(" (after ", InMs(took), ")"); }

}  // namespace

void DialErrors::Begin(std::string target) {
  target_ = std::move(target);
  phase_ = Phase::kResolve;
  target_failed_ = false;
  Clear();
}

void DialErrors::Add(const SocketAddress& address, absl::string_view why) {
  // The system call and the address are named once.
  const std::string text = address.ToString();
  absl::ConsumePrefix(&why, "connect");
  absl::ConsumePrefix(&why, absl::StrCat(" ", text));
  absl::ConsumePrefix(&why, ": ");
  reasons_.push_back(absl::StrCat(text, ": ", why));
  // A target that is itself an address stands in its reason already; Reasons() then does not name
  // it a second time.
  target_failed_ = target_failed_ || text == target_;
}

absl::Status DialErrors::NoAddress(absl::string_view why, Nanos took) const {
  return absl::UnavailableError(absl::StrCat(why, After(took)));
}

absl::Status DialErrors::NoNetwork() const {
  return absl::UnavailableError(
      absl::StrCat("connect: no in-process network", NamedPeer::Ending("to", target_)));
}

absl::Status DialErrors::AllFailed(Nanos took) const {
  return absl::UnavailableError(
      absl::StrCat("connect: ", Reasons(), NamedPeer::Ending("to", target_, took)));
}

absl::Status DialErrors::NoAnswer(const std::vector<SocketAddress>& asked, Nanos took) const {
  std::string text = phase_ == Phase::kResolve ? "resolve: no answer" : "connect: no answer";
  std::vector<std::string> silent;
  for (const SocketAddress& address : asked) {
    if (silent.size() < kNamed) silent.push_back(address.ToString());
  }
  if (!silent.empty() && silent.front() != target_) {
    absl::StrAppend(&text, " from ", absl::StrJoin(silent, ", "));
  }
  absl::StrAppend(&text, NamedPeer::Ending("to", target_, took));
  if (!reasons_.empty()) absl::StrAppend(&text, "; before that: ", Reasons());
  return absl::UnavailableError(text);
}

// "10.0.0.7:80: Connection refused", without the address where it is the target, which the caller
// names.
std::string DialErrors::Reasons() const {
  const auto named =
      reasons_.begin() + static_cast<std::ptrdiff_t>(std::min(reasons_.size(), kNamed));
  std::string text = absl::StrJoin(reasons_.begin(), named, "; ");
  if (reasons_.size() > kNamed) {
    absl::StrAppend(&text, "; and ", reasons_.size() - kNamed, " more");
  }
  if (target_failed_ && reasons_.size() == 1) text.erase(0, target_.size() + 2);
  return text;
}

}  // namespace weft::internal
