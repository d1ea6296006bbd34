#include "weft/core/connector.h"

#include <algorithm>
#include <utility>

#include "weft/core/fd_watch.h"
#include "weft/core/plain_transport.h"

namespace weft::internal {

// A connect that is not decided yet.
class Connector::Attempt final : private WatchEvents {
 public:
  Attempt(Connector& connector, SocketAddress address, Socket socket)
      : connector_(connector), address_(std::move(address)), socket_(std::move(socket)) {}

  absl::Status Start() WEFT_LOOP_ONLY {
    absl::Status s = watch_.Start(connector_.loop_, socket_.fd(), this);
    if (s.ok()) watch_.WatchWrite(true);
    return s;
  }
  const SocketAddress& address() const { return address_; }
  absl::Status Result() const { return socket_.ConnectResult(); }
  Socket TakeSocket() WEFT_LOOP_ONLY {
    watch_.Stop();
    return std::move(socket_);
  }

 private:
  // A connect is decided when its socket becomes writable, for success and failure alike.
  void OnReadable() override {}
  void OnWritable() override {
    connector_.loop_.AssertInLoop();
    connector_.OnDecided(this);  // destroys this, and perhaps the connector
  }

  Connector& connector_;
  const SocketAddress address_;
  Socket socket_;
  FdWatch watch_ WEFT_LOOP_OWNED;  // after the socket: ends before it
};

Connector::Connector(EventLoop& loop, std::shared_ptr<InProcessNetwork> network,
                     ResolverOptions resolver)
    : loop_(loop),
      network_(std::move(network)),
      resolver_(loop, std::move(resolver)),
      limit_(loop,
             [this] {
               loop_.AssertInLoop();
               OnLimit();
             }),
      begin_(loop,
             [this] {
               loop_.AssertInLoop();
               Begin();
             }),
      next_(loop, [this] {
        loop_.AssertInLoop();
        TryNext();
      }) {}

Connector::~Connector() WEFT_NO_THREAD_ANALYSIS { Cancel(); }

void Connector::Start(const HostPort& target, const std::string& target_text, Nanos limit,
                      OnConnected done) {
  Cancel();
  target_ = target;
  addresses_.Begin();
  errors_.Begin(target_text);
  done_ = std::move(done);
  started_ = loop_.clock().Now();
  ends_ = SaturatingAdd(started_, limit);
  again_ = kFirstAgain;
  limit_.StartAt(ends_);
  // Not here: `done` is never called inside Start.
  begin_.StartAt(started_);
}

void Connector::Cancel() {
  resolver_.Cancel();
  for (Timer* timer : {&limit_, &begin_, &next_}) timer->Stop();
  attempts_.clear();
  addresses_.Clear();
  errors_.Clear();
  all_found_ = false;
  done_ = nullptr;
}

void Connector::AvoidLast() { addresses_.TryConnectedLast(); }

void Connector::Begin() {
  if (target_.is_in_process()) {
    errors_.set_phase(DialErrors::Phase::kConnect);
    DialInProcess();
    return;
  }
  // Told here rather than by the watch that a stepped loop refuses, whose error would not say what
  // to do instead.
  if (loop_.stepped()) {
    Finish(absl::FailedPreconditionError(
        "a runtime that is stepped has no sockets; dial an in-process name (inproc:…)"));
    return;
  }
  // A third of the time is left for connecting: a lookup that took all of it would make an address
  // useless.
  const Nanos lookup = ends_ == kNever ? Nanos::max() : (ends_ - started_) / 3 * 2;
  resolver_.Resolve(target_, lookup,
                    [this](absl::StatusOr<std::vector<SocketAddress>> found, bool last) {
                      loop_.AssertInLoop();
                      OnFound(std::move(found), last);
                    });
}

void Connector::DialInProcess() {
  if (network_ == nullptr) {
    Finish(errors_.NoNetwork());
    return;
  }
  auto dialled = network_->Dial(target_.in_process_name, loop_.clock());
  if (!dialled.ok() || *dialled != nullptr) {
    Finish(std::move(dialled));
    return;
  }
  begin_.StartAfter(again_);  // nobody answers: until the limit comes
  again_ *= 2;
}

void Connector::OnFound(absl::StatusOr<std::vector<SocketAddress>> found, bool last) {
  all_found_ = last;
  if (!found.ok()) {
    Finish(errors_.NoAddress(found.status().message(), took()));
    return;
  }
  addresses_.Add(*found);
  const bool resolving = errors_.phase() == DialErrors::Phase::kResolve;
  const bool ipv6 = std::any_of(found->begin(), found->end(),
                                [](const SocketAddress& a) { return a.family() == AF_INET6; });
  // IPv4 came first. The wait gives the IPv6 answer its chance to lead (RFC 8305, 3), a quarter of
  // what is left at most, so that the wait alone cannot use up the time.
  if (resolving && !last && !ipv6) {
    next_.StartAfter(std::min<Nanos>(kResolutionDelay, (ends_ - loop_.clock().Now()) / 4));
  } else if (resolving || attempts_.empty()) {
    TryNext();
  } else if (!addresses_.empty() && !next_.armed()) {
    next_.StartAfter(HeadStart());
  }
}

Nanos Connector::HeadStart() {
  if (ends_ == kNever) return kHeadStart;
  // Each address that is left has its turn before the limit, as far as kMinHeadStart lets it.
  // The sum's 1 leaves a share for the last address to answer in.
  const Nanos share = (ends_ - loop_.clock().Now()) / static_cast<int64_t>(addresses_.size() + 1);
  return std::clamp<Nanos>(share, kMinHeadStart, kHeadStart);
}

void Connector::TryNext() {
  errors_.set_phase(DialErrors::Phase::kConnect);
  // Called by a failure too, perhaps before the head start of the attempt before has passed.
  next_.Stop();
  while (!addresses_.empty()) {
    const SocketAddress address = addresses_.TakeNext();
    bool connected = false;
    absl::StatusOr<Socket> socket = Socket::StartConnect(address, &connected);
    if (!socket.ok()) {
      Failed(address, socket.status().message());
      continue;
    }
    if (connected) {
      Connected(address, *std::move(socket));
      return;
    }
    auto attempt = std::make_unique<Attempt>(*this, address, *std::move(socket));
    if (absl::Status s = attempt->Start(); !s.ok()) {
      Failed(address, s.message());
      continue;
    }
    // Attempts that were not decided in their head start go on beside this one: a slow address is
    // not a dead one.
    attempts_.push_back(std::move(attempt));
    if (!addresses_.empty()) next_.StartAfter(HeadStart());
    return;
  }
  // Addresses of the other family may still come, or an attempt may still connect.
  if (!attempts_.empty() || !all_found_) return;
  Finish(errors_.AllFailed(took()));
}

void Connector::OnDecided(Attempt* attempt) {
  const auto it = std::find_if(attempts_.begin(), attempts_.end(),
                               [&](const auto& a) { return a.get() == attempt; });
  // Out of the list first: the calls below end in Cancel, which clears it.
  const std::unique_ptr<Attempt> decided = std::move(*it);
  attempts_.erase(it);
  if (const absl::Status result = decided->Result(); !result.ok()) {
    Failed(decided->address(), result.message());
    TryNext();
    return;
  }
  Connected(decided->address(), decided->TakeSocket());
}

void Connector::Connected(const SocketAddress& address, Socket socket) {
  // The slower attempts had a head start and did not use it: later dials try their addresses last.
  for (const auto& slower : attempts_) addresses_.TryLast(slower->address());
  addresses_.SetConnected(address);
  Finish(std::make_unique<PlainTransport>(std::move(socket)));
}

void Connector::OnLimit() {
  std::vector<SocketAddress> asked;
  for (const auto& attempt : attempts_) {
    addresses_.TryLast(attempt->address());
    asked.push_back(attempt->address());
  }
  Finish(errors_.NoAnswer(asked, took()));
}

void Connector::Failed(const SocketAddress& address, absl::string_view why) {
  errors_.Add(address, why);
  addresses_.TryLast(address);
}

void Connector::Finish(absl::StatusOr<std::unique_ptr<Transport>> result) {
  // Everything is put back before the call: `done` may start this connector again, or destroy it.
  OnConnected done = std::move(done_);
  Cancel();
  if (done) done(std::move(result));
}

}  // namespace weft::internal
