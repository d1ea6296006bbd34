#include "tests/support/step_transport.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/event_loop.h"

namespace weft {

using namespace internal;

namespace {

// Bytes that were read and not served yet.
class Kept {
 public:
  void Append(const char* data, size_t size) { bytes_.append(data, size); }
  bool empty() const { return bytes_.empty(); }
  const std::string& bytes() const { return bytes_; }
  void Drop(size_t n) { bytes_.erase(0, n); }

 private:
  std::string bytes_;
};

// Readable too while there are bytes that were kept.
class StepWatch final : public Watch {
 public:
  StepWatch(EventLoop& loop, std::unique_ptr<Watch> below, const Kept& kept, WatchEvents* events)
      : loop_(loop), below_(std::move(below)), kept_(kept), events_(events) {}
  ~StepWatch() override { *watched_ = false; }

  void WatchRead(bool on) override {
    reading_ = on;
    below_->WatchRead(on);
    AskAgain();
  }
  void WatchWrite(bool on) override { below_->WatchWrite(on); }
  void Stop() override {
    reading_ = false;
    below_->Stop();
  }
  void SetEvents(WatchEvents* events) override {
    events_ = events;
    below_->SetEvents(events);
  }

 private:
  void AskAgain() {
    if (!reading_ || kept_.empty() || std::exchange(posted_, true)) return;
    // The descriptor below is not readable for bytes that were read already, so the watch tells of
    // those itself.
    loop_.Post([this, watched = watched_](TaskFate fate) {
      if (fate == TaskFate::kCancelled || !*watched) return;
      posted_ = false;
      if (!reading_ || kept_.empty()) return;
      events_->OnReadable();
      if (*watched) AskAgain();
    });
  }

  EventLoop& loop_;
  const std::unique_ptr<Watch> below_;
  const Kept& kept_;
  WatchEvents* events_;
  const std::shared_ptr<bool> watched_ = std::make_shared<bool>(true);
  bool reading_ = false;
  bool posted_ = false;
};

// One end of the handshake in three steps that the header draws. Bytes that it has read behind the
// last step are kept for Read; everything else is passed on once the handshake is done.
class StepTransport final : public Transport {
 public:
  StepTransport(std::unique_ptr<Transport> below, const ReadAhead& first_bytes, StepScript script,
                HandshakeRole role)
      : below_(std::move(below)),
        script_(std::move(script)),
        dialer_(role == HandshakeRole::kDialer) {
    kept_.Append(first_bytes.data, first_bytes.size);
    identity_.alpn = script_.alpn;
  }

  Progress Handshake(absl::Status* why) override {
    while (step_ < 3) {
      if (step_ == script_.fails_at) {
        *why = script_.failure;
        return Progress::kFailed;
      }
      const bool stopped = step_ >= script_.stops_at;
      // The dialer says A and C, the listener B.
      const bool writes = !stopped && (step_ == 1) != dialer_;
      const Progress progress = writes ? WriteStep(why) : ReadStep(stopped, why);
      if (progress != Progress::kDone) return progress;
      ++step_;
    }
    return Progress::kDone;
  }
  const TransportIdentity& identity() const override { return identity_; }

  ssize_t Read(const iovec* pieces, int count) override {
    if (kept_.empty()) return below_->Read(pieces, count);
    size_t served = 0;
    for (int i = 0; i < count && !kept_.empty(); ++i) {
      const size_t n = std::min(kept_.bytes().size(), pieces[i].iov_len);
      std::memcpy(pieces[i].iov_base, kept_.bytes().data(), n);
      kept_.Drop(n);
      served += n;
    }
    return static_cast<ssize_t>(served);
  }
  ssize_t Write(const iovec* pieces, int count) override { return below_->Write(pieces, count); }
  size_t Unacknowledged() const override { return below_->Unacknowledged(); }
  void ShutDown() override { below_->ShutDown(); }
  bool EndWrites() override { return below_->EndWrites(); }
  absl::StatusOr<std::unique_ptr<Watch>> NewWatch(EventLoop& loop, WatchEvents* events) override {
    loop.AssertInLoop();
    absl::StatusOr<std::unique_ptr<Watch>> watch = below_->NewWatch(loop, events);
    if (!watch.ok()) return watch.status();
    return std::make_unique<StepWatch>(loop, *std::move(watch), kept_, events);
  }
  void SetLostAfter(Nanos lost_after) override { below_->SetLostAfter(lost_after); }
  void SetMaxUnsent(size_t bytes) override { below_->SetMaxUnsent(bytes); }
  bool AnyThreadMayWrite() const override {
    return !script_.loop_only && below_->AnyThreadMayWrite();
  }

 private:
  // The whole of what this end says at its step.
  std::string Words() const {
    return step_ == 2 ? "C" : StepFactory::Greeting(step_ == 0 ? 'A' : 'B', script_.name);
  }
  Progress WriteStep(absl::Status* why) {
    const std::string words = Words();
    const size_t n = std::min(words.size() - said_, script_.bytes_at_once);
    const iovec piece{const_cast<char*>(words.data()) + said_, n};
    const ssize_t written = below_->Write(&piece, 1);
    if (written < 0 && errno == EAGAIN) return Progress::kWantWrite;
    if (written < 0) return Lost(why);
    said_ += static_cast<size_t>(written);
    if (said_ < words.size()) return Progress::kWantWrite;
    said_ = 0;
    return Progress::kDone;
  }
  Progress ReadStep(bool stopped, absl::Status* why) {
    if (stopped) kept_ = Kept();
    if (!stopped && TakeWords(why)) return Progress::kDone;
    if (!why->ok()) return Progress::kFailed;
    char bytes[256];
    const iovec piece{bytes, std::min(sizeof(bytes), script_.bytes_at_once)};
    const ssize_t read = below_->Read(&piece, 1);
    if (read < 0 && errno == EAGAIN) return Progress::kWantRead;
    if (read <= 0) return Lost(why);
    if (!stopped) kept_.Append(bytes, static_cast<size_t>(read));
    if (!stopped && TakeWords(why)) return Progress::kDone;
    return why->ok() ? Progress::kWantRead : Progress::kFailed;
  }
  // The other end's words, of those that were kept. False: they are not whole, or `why` says what
  // is wrong with them.
  bool TakeWords(absl::Status* why) {
    const std::string& bytes = kept_.bytes();
    const char expected = "ABC"[step_];
    if (bytes.empty()) return false;
    if (bytes[0] != expected) {
      *why = absl::InvalidArgumentError(absl::StrCat("expected '", std::string(1, expected),
                                                     "', got '", bytes.substr(0, 1), "'"));
      return false;
    }
    if (step_ < 2) {
      if (bytes.size() < 2) return false;
      const size_t length = static_cast<unsigned char>(bytes[1]);
      if (bytes.size() < 2 + length) return false;
      identity_.names = {bytes.substr(2, length)};
      kept_.Drop(2 + length);
    } else {
      kept_.Drop(1);
    }
    return true;
  }
  Progress Lost(absl::Status* why) {
    *why = absl::UnavailableError("the peer has gone");
    return Progress::kFailed;
  }

  const std::unique_ptr<Transport> below_;
  const StepScript script_;
  const bool dialer_;
  int step_ = 0;
  size_t said_ = 0;  // of this step's words
  Kept kept_;
  TransportIdentity identity_;
};

}  // namespace

std::string StepFactory::Greeting(char step, const std::string& name) {
  return absl::StrCat(std::string(1, step), std::string(1, static_cast<char>(name.size())), name);
}

Matcher StepFactory::matcher() const {
  return [](std::string_view first) {
    if (first.empty()) return Match::kNeedMore;
    if (first[0] != 'A') return Match::kNo;
    if (first.size() < 2) return Match::kNeedMore;
    return static_cast<unsigned char>(first[1]) < ' ' ? Match::kYes : Match::kNo;
  };
}

std::unique_ptr<Transport> StepFactory::Wrap(std::unique_ptr<Transport> below,
                                             ReadAhead first_bytes,
                                             const HandshakeRequest& request) {
  requests.Update([&](auto& all) { all.push_back(request); });
  return std::make_unique<StepTransport>(std::move(below), first_bytes, script_, request.role);
}

}  // namespace weft
