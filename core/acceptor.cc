#include "weft/core/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <future>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "weft/core/fd_watch.h"
#include "weft/core/timer.h"
#include "weft/core/unix_socket_file.h"

namespace weft {
namespace {

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
  Listener(Acceptor& acceptor, Socket socket, UnixSocketFile file, SocketAddress address)
      : acceptor_(acceptor),
        socket_(std::move(socket)),
        file_(std::move(file)),
        address_(std::move(address)),
        resume_(*acceptor.loop_, [this] {
          acceptor_.loop_->AssertInLoop();
          watch_.WatchRead(true);
        }) {}
  absl::Status Start() LOOP_ONLY {
    absl::Status s = watch_.Start(*acceptor_.loop_, socket_.fd(), this);
    if (s.ok()) watch_.WatchRead(true);
    return s;
  }

 private:
  void OnReadable() override {
    acceptor_.loop_->AssertInLoop();
    for (int i = 0; i < kAcceptAtOnce; ++i) {
      sockaddr_storage from{};
      socklen_t length = sizeof from;
      Socket socket(::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&from), &length,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.valid()) {
        pause_ = kFirstPause;
        acceptor_.accepted_.fetch_add(1, std::memory_order_relaxed);
        acceptor_.on_accept_(std::move(socket), SocketAddress::FromSockaddr(
                                                    reinterpret_cast<sockaddr*>(&from), length));
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

  void Pause(int error) LOOP_ONLY {
    acceptor_.out_of_descriptors_.fetch_add(1, std::memory_order_relaxed);
    acceptor_.RefuseOne(socket_.fd());
    int64_t dropped = 0;
    if (acceptor_.limiter_.Allow(acceptor_.loop_->now(), &dropped)) {
      acceptor_.options_.log.Error(absl::StrCat(
          "accept on ", address_.ToString(), ": ", std::strerror(error), "; pausing for ",
          std::chrono::duration_cast<std::chrono::milliseconds>(pause_).count(), " ms",
          error == EMFILE ? " (raise the limit of open files)" : "",
          dropped > 0 ? absl::StrCat("; ", dropped, " more like this") : ""));
    }
    watch_.WatchRead(false);
    resume_.StartAfter(pause_);
    pause_ = std::min(pause_ * 2, kLongestPause);
  }

  Acceptor& acceptor_;
  const Socket socket_;
  const UnixSocketFile file_;  // after the socket: removed before it is closed
  const SocketAddress address_;
  FdWatch watch_ LOOP_OWNED;
  Timer resume_ LOOP_OWNED;
  Nanos pause_ LOOP_OWNED = kFirstPause;
};

Acceptor::Acceptor(AcceptorOptions options, OnAccept on_accept)
    : options_(std::move(options)), on_accept_(std::move(on_accept)) {}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Create(
    AcceptorOptions options, OnAccept on_accept) WEFT_NO_THREAD_ANALYSIS {
  std::unique_ptr<Acceptor> acceptor(new Acceptor(std::move(options), std::move(on_accept)));
  EventLoopOptions loop;
  loop.name = "weft-accept";
  loop.log = acceptor->options_.log;
  loop.spin = Nanos::zero();
  absl::StatusOr<std::unique_ptr<EventLoop>> made = EventLoop::Create(loop);
  if (!made.ok()) return made.status();
  acceptor->loop_ = *std::move(made);
  acceptor->reserve_ = OpenReserve();
  try {
    acceptor->thread_ = std::thread([l = acceptor->loop_.get()] { l->Run(); });
  } catch (const std::system_error& e) {
    return absl::ResourceExhaustedError(absl::StrCat("acceptor thread: cannot start: ", e.what()));
  }
  ::pthread_setname_np(acceptor->thread_.native_handle(), "weft-accept");
  return acceptor;
}

Acceptor::~Acceptor() { Stop(); }

absl::StatusOr<SocketAddress> Acceptor::AddListener(const SocketAddress& address) {
  UnixSocketFile file;
  absl::StatusOr<Socket> socket = Socket::Listen(address, options_.listen, &file);
  if (!socket.ok()) return socket.status();
  absl::StatusOr<SocketAddress> local = socket->LocalAddress();
  if (!local.ok()) return local.status();
  std::promise<absl::Status> started;
  loop_->Post([&, s = *std::move(socket), f = std::move(file)](TaskFate fate) mutable {
    if (fate == TaskFate::kCancelled) {
      f.Remove();
      started.set_value(absl::FailedPreconditionError("the acceptor has stopped"));
      return;
    }
    loop_->AssertInLoop();
    auto listener = std::make_unique<Listener>(*this, std::move(s), std::move(f), *local);
    absl::Status status = listener->Start();
    if (status.ok()) listeners_.push_back(std::move(listener));
    started.set_value(std::move(status));
  });
  absl::Status status = started.get_future().get();
  if (!status.ok()) return status;
  return local;
}

// Takes one connection with the reserve's descriptor and closes it, so that its client does not
// wait in vain.
void Acceptor::RefuseOne(int listen_fd) WEFT_NO_THREAD_ANALYSIS {
  reserve_.Close();
  Socket(::accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC)).Close();
  reserve_ = OpenReserve();
}

void Acceptor::Stop() {
  MutexLock lock(stop_mu_);
  if (!thread_.joinable()) return;
  loop_->Post([this](TaskFate) WEFT_NO_THREAD_ANALYSIS { listeners_.clear(); });
  loop_->Stop();
  thread_.join();
}

Acceptor::Counts Acceptor::counts() const {
  return {accepted_.load(std::memory_order_relaxed),
          out_of_descriptors_.load(std::memory_order_relaxed)};
}

}  // namespace weft
