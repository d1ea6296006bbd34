// Drives one transport's handshake: asks for the next step whenever the transport is ready for it,
// until it is done, has failed, or time is up.
//
//   Start ──► Handshake() ──► kWantRead, kWantWrite: watch, and again when ready
//                  └──► kDone, kFailed, deadline: `done`, once
//
// A transport that is done at its first step costs a posted task: no watch, no timer and no system
// call.
//
// Threads  loop-only
// Owns     the transport, until it hands it over or the handshake fails
// Errors   a Status that names phase, peer, side, cause and the time it took. Its code is the
//          transport's where that failed; UNAVAILABLE when time is up or the transport cannot be
//          watched
// Ends     each Start calls back exactly once, unless it was cancelled, or this was destroyed, or
//          the loop has closed. This may be destroyed inside the callback
#ifndef WEFT_CORE_TRANSPORT_HANDSHAKE_H_
#define WEFT_CORE_TRANSPORT_HANDSHAKE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "weft/core/event_loop.h"
#include "weft/core/thread_contract.h"
#include "weft/core/timer.h"
#include "weft/core/transport.h"
#include "weft/core/transport_factory.h"
#include "weft/core/watch.h"

namespace weft::internal {

class TransportHandshake final : private WatchEvents {
 public:
  using OnDone = std::function<void(absl::StatusOr<std::unique_ptr<Transport>>)>;

  explicit TransportHandshake(EventLoop& loop);
  ~TransportHandshake();
  TransportHandshake(const TransportHandshake&) = delete;
  TransportHandshake& operator=(const TransportHandshake&) = delete;

  // One at a time: a new one cancels the last. `peer` is for errors. Never calls back inside Start.
  void Start(std::unique_ptr<Transport> transport, HandshakeRole role, std::string peer,
             MonoTime deadline, OnDone done) WEFT_LOOP_ONLY;
  // Destroys the transport; nobody is told.
  void Cancel() WEFT_LOOP_ONLY;
  // The last handshake ended because time was up. Valid inside the callback, too.
  bool timed_out() const WEFT_LOOP_ONLY { return timed_out_; }

 private:
  // A posted end finds this by it, or null when there is nothing to be told any more.
  struct Posted {
    TransportHandshake* handshake;
  };

  void OnReadable() override;
  void OnWritable() override;
  void OnWatchFailed(const absl::Status& why) override;
  void OnDeadline() WEFT_LOOP_ONLY;
  // The next step. False: it was the last one, and end_ says how the handshake ended.
  bool Step() WEFT_LOOP_ONLY;
  absl::Status Want(Progress ready) WEFT_LOOP_ONLY;
  void StepAndTell() WEFT_LOOP_ONLY;
  void TellLater() WEFT_LOOP_ONLY;
  void Tell() WEFT_LOOP_ONLY;
  absl::Status Failure(absl::StatusCode code, absl::string_view cause) WEFT_LOOP_ONLY;

  EventLoop& loop_;
  std::unique_ptr<Transport> transport_ WEFT_LOOP_OWNED;
  std::unique_ptr<Watch> watch_
      WEFT_LOOP_OWNED;  // from the first wait on; goes before the transport
  Timer deadline_ WEFT_LOOP_OWNED;
  HandshakeRole role_ WEFT_LOOP_OWNED = HandshakeRole::kDialer;
  std::string peer_ WEFT_LOOP_OWNED;
  OnDone done_ WEFT_LOOP_OWNED;
  MonoTime started_ WEFT_LOOP_OWNED{};
  MonoTime ends_ WEFT_LOOP_OWNED = kNever;
  Progress waits_for_ WEFT_LOOP_OWNED = Progress::kWantRead;
  bool timed_out_ WEFT_LOOP_OWNED = false;
  absl::Status end_ WEFT_LOOP_OWNED;
  std::shared_ptr<Posted> posted_ WEFT_LOOP_OWNED;  // while an end is posted
};

}  // namespace weft::internal

#endif  // WEFT_CORE_TRANSPORT_HANDSHAKE_H_
