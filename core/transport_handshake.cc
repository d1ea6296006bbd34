#include "weft/core/transport_handshake.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/check.h"
#include "weft/core/named_peer.h"

namespace weft::internal {

TransportHandshake::TransportHandshake(EventLoop& loop)
    : loop_(loop), deadline_(loop, [this] {
        loop_.AssertInLoop();
        OnDeadline();
      }) {}

TransportHandshake::~TransportHandshake() WEFT_NO_THREAD_ANALYSIS { Cancel(); }

void TransportHandshake::Start(std::unique_ptr<Transport> transport, HandshakeRole role,
                               std::string peer, MonoTime deadline, OnDone done) {
  Cancel();
  transport_ = std::move(transport);
  role_ = role;
  peer_ = std::move(peer);
  done_ = std::move(done);
  ends_ = deadline;
  timed_out_ = false;
  started_ = loop_.clock().Now();
  if (transport_ == nullptr) {
    end_ = Failure(absl::StatusCode::kInternal, "the transport factory made no transport");
    TellLater();
  } else if (!Step()) {
    TellLater();
  }
}

void TransportHandshake::Cancel() {
  deadline_.Stop();
  watch_.reset();
  transport_.reset();
  done_ = nullptr;
  if (posted_ != nullptr) posted_->handshake = nullptr;
  posted_.reset();
}

void TransportHandshake::OnReadable() {
  loop_.AssertInLoop();
  // The watch of the other direction may tell once more in the turn in which it was switched off.
  if (waits_for_ == Progress::kWantRead) StepAndTell();
}

void TransportHandshake::OnWritable() {
  loop_.AssertInLoop();
  if (waits_for_ == Progress::kWantWrite) StepAndTell();
}

void TransportHandshake::OnWatchFailed(const absl::Status& why) {
  loop_.AssertInLoop();
  end_ = Failure(absl::StatusCode::kUnavailable, why.message());
  Tell();
}

void TransportHandshake::OnDeadline() {
  timed_out_ = true;
  end_ = Failure(absl::StatusCode::kUnavailable, waits_for_ == Progress::kWantRead
                                                     ? "the peer has not answered in time"
                                                     : "the peer has not read in time");
  Tell();
}

void TransportHandshake::StepAndTell() {
  if (!Step()) Tell();
}

bool TransportHandshake::Step() {
  absl::Status why;
  const Progress progress = transport_->Handshake(&why);
  switch (progress) {
    case Progress::kDone:
      end_ = absl::OkStatus();
      return false;
    case Progress::kFailed:
      end_ = Failure(why.ok() ? absl::StatusCode::kUnavailable : why.code(), why.message());
      return false;
    case Progress::kWantRead:
    case Progress::kWantWrite:
      break;
  }
  if (absl::Status watched = Want(progress); !watched.ok()) {
    end_ = Failure(absl::StatusCode::kUnavailable, watched.message());
    return false;
  }
  return true;
}

absl::Status TransportHandshake::Want(Progress ready) {
  waits_for_ = ready;
  if (watch_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Watch>> watch = transport_->NewWatch(loop_, this);
    if (!watch.ok()) return watch.status();
    watch_ = *std::move(watch);
    // Armed with the first wait, so that a handshake that is done at once needs no timer.
    deadline_.StartAt(ends_);
  }
  // Never both: a socket is writable nearly always, and would wake the loop in each turn.
  watch_->WatchRead(ready == Progress::kWantRead);
  watch_->WatchWrite(ready == Progress::kWantWrite);
  return absl::OkStatus();
}

void TransportHandshake::TellLater() {
  // In a later turn, never inside Start. Cancel clears the pointer, for this may be destroyed
  // before.
  posted_ = std::make_shared<Posted>(Posted{this});
  loop_.Post([&loop = loop_, posted = posted_](TaskFate fate) {
    if (fate == TaskFate::kCancelled) return;  // on the thread that has closed the loop
    loop.AssertInLoop();
    if (posted->handshake != nullptr) posted->handshake->Tell();
  });
}

void TransportHandshake::Tell() {
  WEFT_DCHECK(done_ != nullptr);
  // All is put back before the call, since `done` may start another handshake here.
  const OnDone done = std::move(done_);
  watch_.reset();  // before the transport is anybody else's
  absl::StatusOr<std::unique_ptr<Transport>> result = std::move(transport_);
  if (!end_.ok()) result = end_;
  Cancel();
  done(std::move(result));  // may destroy this
}

absl::Status TransportHandshake::Failure(absl::StatusCode code, absl::string_view cause) {
  const bool dialer = role_ == HandshakeRole::kDialer;
  return absl::Status(
      code, absl::StrCat(
                "transport handshake ", dialer ? "(dialled): " : "(accepted): ", cause,
                NamedPeer::Ending(dialer ? "to" : "from", peer_, loop_.clock().Now() - started_)));
}

}  // namespace weft::internal
