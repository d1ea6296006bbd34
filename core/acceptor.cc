#include "weft/core/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/absl_view.h"
#include "weft/core/address_order.h"
#include "weft/core/exhausted.h"
#include "weft/core/fd_watch.h"
#include "weft/core/listening.h"
#include "weft/core/resolver.h"
#include "weft/core/thread_start.h"
#include "weft/core/timer.h"

namespace weft::internal {
namespace {

// The first pause is short, since a descriptor may be free again soon; the longest bounds how long
// a client waits in the backlog after one is.
constexpr Nanos kFirstPause = std::chrono::milliseconds(10);
constexpr Nanos kLongestPause = std::chrono::seconds(1);

Socket OpenReserve() { return Socket(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// Errors of the one connection that was to be accepted; the next one may be well. Others stay:
// descriptors or memory have run out, or the listener itself is broken.
bool ConnectionDied(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
      return true;
    default:
      return false;
  }
}

}  // namespace

// One listening socket. Threads: the acceptor's loop.
class Acceptor::Listener final : private WatchEvents {
 public:
  Listener(Acceptor& acceptor, Listening listening, OnAccept on_accept)
      : acceptor_(acceptor),
        on_accept_(std::move(on_accept)),
        socket_(std::move(listening.socket)),
        file_(std::move(listening.file)),
        address_(std::move(listening.address)),
        resume_(*acceptor.loop_, [this] {
          acceptor_.loop_->AssertInLoop();
          watch_.WatchRead(true);
        }) {}
  absl::Status Start() WEFT_LOOP_ONLY {
    absl::Status s = watch_.Start(*acceptor_.loop_, socket_.fd(), this);
    if (s.ok()) watch_.WatchRead(true);
    return s;
  }

 private:
  void OnReadable() override {
    acceptor_.loop_->AssertInLoop();
    acceptor_.trimmer_->Active();
    // Bounded: the listeners of one acceptor share its thread, and a flood at one must not starve
    // the others.
    for (int i = 0; i < kAcceptAtOnce; ++i) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      Socket socket(::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&from), &length,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.valid()) {
        // A connection was accepted, so whatever had run out is there again.
        pause_ = kFirstPause;
        acceptor_.accepted_.fetch_add(1, std::memory_order_relaxed);
        on_accept_(std::move(socket),
                   SocketAddress::FromSockaddr(reinterpret_cast<sockaddr*>(&from), length));
        continue;
      }
      const int error = errno;
      if (error == EAGAIN || error == EWOULDBLOCK) return;
      if (ConnectionDied(error)) continue;
      Pause(error);
      return;
    }
  }
  void OnWritable() override {}
  // The kernel refused to watch the socket. The pause's timer tries to watch it again.
  void OnWatchFailed(const absl::Status& why) override {
    acceptor_.loop_->AssertInLoop();
    PauseFor(std::string(why.message()), "");
  }

  void Pause(int error) WEFT_LOOP_ONLY {
    acceptor_.out_of_descriptors_.fetch_add(1, std::memory_order_relaxed);
    acceptor_.RefuseOne(socket_.fd());
    PauseFor(std::strerror(error), error == EMFILE ? " (raise the limit of open files)" : "");
  }
  // Without a limit on its lines this would fill the log exactly when the machine has run out.
  void PauseFor(std::string_view why, std::string_view advice) WEFT_LOOP_ONLY {
    int64_t dropped = 0;
    if (acceptor_.limiter_.Allow(acceptor_.loop_->now(), &dropped)) {
      acceptor_.options_.log.Error(absl::StrCat(
          "accept on ", address_.ToString(), ": ", AbslView(why), "; pausing for ",
          std::chrono::duration_cast<std::chrono::milliseconds>(pause_).count(), " ms",
          AbslView(advice), dropped > 0 ? absl::StrCat("; ", dropped, " more like this") : ""));
    }
    // The watch is level-triggered: left on, it would call again at once, for the connection that
    // could not be accepted still waits.
    watch_.WatchRead(false);
    resume_.StartAfter(pause_);
    pause_ = std::min(pause_ * 2, kLongestPause);
  }

  Acceptor& acceptor_;
  const OnAccept on_accept_;
  const Socket socket_;
  const UnixSocketFile file_;  // after the socket: removed before it is closed
  const SocketAddress address_;
  FdWatch watch_ WEFT_LOOP_OWNED;
  Timer resume_ WEFT_LOOP_OWNED;
  Nanos pause_ WEFT_LOOP_OWNED = kFirstPause;
};

// A lookup that a thread waits for. Answers once: at the latest when it is destroyed.
class Acceptor::NameLookup {
 public:
  using Result = absl::StatusOr<std::vector<SocketAddress>>;

  NameLookup(Acceptor& acceptor, std::promise<Result> answer)
      : acceptor_(acceptor),
        answer_(std::move(answer)),
        resolver_(*acceptor.loop_, acceptor.options_.resolver) {}
  ~NameLookup() {
    // A thread is blocked in LookUp: without an answer it would wait for ever, or see
    // broken_promise.
    if (!answered_) answer_.set_value(absl::FailedPreconditionError("the acceptor has stopped"));
  }

  void Start(const HostPort& host_port) WEFT_LOOP_ONLY {
    resolver_.Resolve(host_port, kLookupLimit, [this](Result found, bool last) {
      acceptor_.loop_->AssertInLoop();
      if (!found.ok()) {
        Answer(found.status());
        return;
      }
      found_.insert(found_.end(), found->begin(), found->end());
      if (last) Answer(InOrderOfTrying(std::move(found_)));
    });
  }

 private:
  void Answer(Result result) WEFT_LOOP_ONLY {
    answered_ = true;
    answer_.set_value(std::move(result));
    // Destroys this. Nothing may follow.
    auto& all = acceptor_.lookups_;
    all.erase(std::find_if(all.begin(), all.end(), [&](const auto& l) { return l.get() == this; }));
  }

  Acceptor& acceptor_;
  std::promise<Result> answer_;
  bool answered_ = false;
  Resolver resolver_ WEFT_LOOP_OWNED;
  std::vector<SocketAddress> found_ WEFT_LOOP_OWNED;
};

Acceptor::Acceptor(AcceptorOptions options, OnAccept on_accept)
    : options_(std::move(options)), on_accept_(std::move(on_accept)) {}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Create(
    AcceptorOptions options, OnAccept on_accept) WEFT_NO_THREAD_ANALYSIS {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(std::move(options), std::move(on_accept)));
  EventLoopOptions loop;
  loop.name = "weft-accept";
  loop.log = acceptor->options_.log;
  // Connections are rare beside calls: a spinning acceptor would only take a core from the I/O
  // threads.
  loop.spin = Nanos::zero();
  absl::StatusOr<std::unique_ptr<EventLoop>> made = EventLoop::Create(loop);
  if (!made.ok()) return made.status();
  acceptor->loop_ = *std::move(made);
  acceptor->trimmer_ = std::make_unique<IdleTrimmer>(*acceptor->loop_);
  // Opened while descriptors are still to be had: when they have run out it is too late.
  acceptor->reserve_ = OpenReserve();
  if (!acceptor->reserve_.valid()) {
    return Exhausted::Descriptors(errno, "acceptor: cannot open its descriptor in reserve");
  }
  absl::StatusOr<std::thread> thread =
      StartThread(loop.name, [l = acceptor->loop_.get()] { l->Run(); });
  if (!thread.ok()) return thread.status();
  acceptor->thread_ = *std::move(thread);
  return acceptor;
}

Acceptor::~Acceptor() { Stop(); }

absl::StatusOr<SocketAddress> Acceptor::AddListener(const SocketAddress& address) {
  absl::StatusOr<std::vector<SocketAddress>> bound = AddListeners({address});
  if (!bound.ok()) return bound.status();
  return bound->front();
}

absl::StatusOr<std::vector<SocketAddress>> Acceptor::AddListeners(
    const std::vector<SocketAddress>& addresses, OnAccept on_accept) {
  if (on_accept == nullptr) on_accept = on_accept_;
  std::vector<std::string> left_out;
  // Bound and listening on this thread, so that errors are the caller's and a port is known at
  // once. A client may connect from here on and waits in the backlog.
  absl::StatusOr<std::vector<Listening>> all = ListenOnAll(addresses, options_.listen, &left_out);
  if (!all.ok()) return all.status();
  for (const std::string& why : left_out) {
    options_.log.Warning(absl::StrCat("not listened on: ", why));
  }
  std::vector<SocketAddress> bound;
  for (const Listening& one : *all) bound.push_back(one.address);
  // This thread waits for the loop below, so the closure may refer to its locals.
  std::promise<absl::Status> started;
  loop_->Post([&, made = *std::move(all)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) {
      // Closes the sockets before the caller learns that it failed: it may bind the same port
      // again.
      made.clear();
      started.set_value(absl::FailedPreconditionError("the acceptor has stopped"));
      return;
    }
    loop_->AssertInLoop();
    std::vector<std::unique_ptr<Listener>> listeners;
    absl::Status status;
    for (Listening& one : made) {
      listeners.push_back(std::make_unique<Listener>(*this, std::move(one), on_accept));
      status = listeners.back()->Start();
      if (!status.ok()) {
        listeners.clear();
        break;
      }
    }
    // All of them or none.
    for (auto& listener : listeners) listeners_.push_back(std::move(listener));
    started.set_value(std::move(status));
  });
  absl::Status status = started.get_future().get();
  if (!status.ok()) return status;
  return bound;
}

absl::StatusOr<std::vector<SocketAddress>> Acceptor::LookUp(const HostPort& host_port) {
  absl::StatusOr<SocketAddress> literal = SocketAddress::From(host_port);
  if (literal.ok()) return std::vector<SocketAddress>{*literal};
  // NOT_FOUND alone means that the host may be a name; everything else is a malformed address.
  if (!absl::IsNotFound(literal.status())) return literal.status();
  std::promise<NameLookup::Result> answer;
  std::future<NameLookup::Result> answered = answer.get_future();
  loop_->Post([&, answer = std::move(answer)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) {
      answer.set_value(absl::FailedPreconditionError("the acceptor has stopped"));
      return;
    }
    loop_->AssertInLoop();
    lookups_.push_back(std::make_unique<NameLookup>(*this, std::move(answer)));
    lookups_.back()->Start(host_port);
  });
  return answered.get();
}

// Takes one connection with the reserve's descriptor and closes it, so that its client does not
// wait in vain.
void Acceptor::RefuseOne(int listen_fd) WEFT_NO_THREAD_ANALYSIS {
  // The three steps race with other threads of the process, which may take the freed descriptor
  // first. Then accept fails again and the client waits for the next round; nothing is lost.
  reserve_.Close();
  Socket(::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC)).Close();
  reserve_ = OpenReserve();
}

void Acceptor::Stop() {
  // Held through the join: a second caller returns only when the thread has ended, too.
  MutexLock lock(stop_mu_);
  if (!thread_.joinable()) return;
  // Cleared on the loop, where watches and timers end; when the task is cancelled, too.
  loop_->Post([this](TaskFate) WEFT_NO_THREAD_ANALYSIS {
    listeners_.clear();
    lookups_.clear();
  });
  loop_->Stop();
  thread_.join();
}

Acceptor::Counts Acceptor::counts() const {
  return {accepted_.load(std::memory_order_relaxed),
          out_of_descriptors_.load(std::memory_order_relaxed)};
}

}  // namespace weft::internal
