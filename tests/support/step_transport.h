// A factory for tests whose transports shake hands in three steps, in plain bytes:
//
//   dialer: 'A' length name ──►     ◄── 'B' length name :listener     dialer: 'C' ──►
//
// Each end's identity is the name that the other end sent, and the protocol that its own script
// says (as if both had agreed on it). Its matcher looks at 'A' and the length. Bytes behind the
// last one of a step are kept and served by Read, as a TLS library does with bytes that it has read
// ahead.
//
// Threads  as TransportFactory; requests: any
// Owns     nothing of its transports
#ifndef WEFT_TESTS_SUPPORT_STEP_TRANSPORT_H_
#define WEFT_TESTS_SUPPORT_STEP_TRANSPORT_H_

#include <climits>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/watched.h"
#include "weft/core/transport_factory.h"

namespace weft {

// How one end behaves. Its steps are numbered from 0: a dialer's are A, B, C; a listener's too.
struct StepScript {
  std::string name;
  // The most bytes that one step of Handshake reads or writes; it then waits for the next
  // readiness.
  size_t bytes_at_once = SIZE_MAX;
  // At this step it fails with `failure`.
  int fails_at = INT_MAX;
  absl::Status failure = absl::UnauthenticatedError("not your name");
  // From this step on it says nothing more; what comes is read and thrown away.
  int stops_at = INT_MAX;
  // The protocol that both have agreed on, as this end reports it; empty: none.
  std::string alpn = {};
  // Only its loop may write it, as with TLS.
  bool loop_only = false;
};

class StepFactory final : public TransportFactory {
 public:
  explicit StepFactory(StepScript script) : script_(std::move(script)) {}
  // The bytes that one end sends at step A or B.
  static std::string Greeting(char step, const std::string& name);

  std::unique_ptr<internal::Transport> Wrap(std::unique_ptr<internal::Transport> below,
                                            internal::ReadAhead first_bytes,
                                            const internal::HandshakeRequest& request) override;
  internal::Matcher matcher() const override;
  // The handshake request of each transport, the oldest first.
  Watched<std::vector<internal::HandshakeRequest>> requests;

 private:
  const StepScript script_;
};

}  // namespace weft

#endif  // WEFT_TESTS_SUPPORT_STEP_TRANSPORT_H_
